"""Who goes first."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from celery_exporter import scalein
from celery_exporter.readings import Pod
from celery_exporter.scalein.costs import UNKNOWN, cost_of
from tests.exporter.worlds import World, pod, work


def plans_of(pods: list[Pod], *, ready: int | None = 0) -> dict[str, int]:
    world = World()
    world.pods = pods
    world.ready = None if ready is None else {"email": ready}
    world.tick(times=15)
    return scalein.changes(world.board.view.plans)


def test_of_ten_pods_the_three_busy_ones_cost_more_before_the_others_go() -> None:
    pods = [pod(f"io-{number}", does=work(600.0) if number < 3 else work()) for number in range(10)]
    assert set(plans_of(pods)) == {"io-0", "io-1", "io-2"}


def test_the_more_work_is_at_risk_the_more_a_pod_costs() -> None:
    few, more, most = work(1.0), work(100.0), work(100.0, 900.0, 900.0)
    costs = [cost_of(pod(does=each)) for each in (work(), few, more, most, None)]
    assert costs == sorted(set(costs))
    assert (costs[0], costs[-1]) == (0, UNKNOWN)


def test_a_pod_that_has_its_cost_is_left_alone_and_one_that_is_idle_again_gets_cheap() -> None:
    busy = pod("busy", does=work(600.0))
    marked = dataclasses.replace(busy, deletion_cost=cost_of(busy))
    idle = [pod(f"idle-{number}", does=work(), cost=7 * (number == 1)) for number in range(3)]
    assert plans_of([marked, *idle]) == {"idle-1": 0}


def test_a_cost_does_not_change_every_second() -> None:
    costs = {cost_of(pod(does=work(float(seconds)))) for seconds in range(600, 900)}
    assert len(costs) <= 2


@pytest.mark.parametrize("ready", [1000, None])
def test_while_a_group_does_not_shrink_nothing_is_marked(ready: int | None) -> None:
    assert not plans_of([pod("io-1", does=work(600.0)), pod("io-2", does=work())], ready=ready)


def test_pods_that_are_being_stopped_are_not_marked() -> None:
    pods = [pod("io-1", does=work(600.0), stopping=True), pod("io-2", does=work())]
    assert not plans_of(pods)


def test_what_is_refused_is_counted_and_said_once_and_the_next_pod_is_marked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    written: dict[str, int] = {}

    def patch(name: str, cost: int) -> None:
        if name.startswith("gone"):
            raise LookupError(name)
        written[name] = cost

    marker = scalein.Marker(patch)
    marker.mark({"gone-1": 1, "gone-2": 2, "io-1": 3})
    assert written == {"io-1": 3}
    assert (marker.patched, marker.refused) == (1, 2)
    assert caplog.text.count("cannot be set") == 1


@pytest.fixture
def patches() -> Iterator[tuple[list[tuple[str, object]], str]]:
    """An API of Kubernetes that takes patches, and what it has taken."""
    taken: list[tuple[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"gitVersion": "v1.34.0"})

        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, json.loads(body)))
            self._answer({"kind": "Pod", "metadata": {"name": "io-1"}})

        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield taken, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_kubernetes_is_told_the_cost_of_a_pod_and_nothing_else(
    patches: tuple[list[tuple[str, object]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, url = patches
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    scalein.patch_of("shop")("io-1", 11)
    ((path, body),) = taken
    assert path.startswith("/api/v1/namespaces/shop/pods/io-1")
    assert body == {"metadata": {"annotations": {scalein.ANNOTATION: "11"}}}
