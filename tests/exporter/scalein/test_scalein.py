"""Who goes first."""

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from celery_exporter import scalein
from celery_exporter.kubernetes import Kubernetes
from celery_exporter.readings import Pod
from celery_exporter.scalein.costs import UNKNOWN, cost_of
from tests.exporter.fleet.kubeapi import KubeApi, raw_pod
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


def test_a_cost_is_written_once_until_it_is_read_again() -> None:
    written: list[tuple[str, int]] = []
    marker = scalein.Marker(lambda name, cost: written.append((name, cost)))
    for costs in ({"io-1": 1}, {"io-1": 1}, {"io-1": 2, "io-2": 1}, {}, {"io-1": 2}):
        marker.mark(costs)
    # Whoever has read it and still asks for it has found another one there.
    assert written == [("io-1", 1), ("io-1", 2), ("io-2", 1), ("io-1", 2)]


def test_kubernetes_is_told_the_cost_of_a_pod_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(KubeApi()) as api, closing(Kubernetes("shop")) as kubernetes:
        api.pods = [raw_pod("io-1")]
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
        patch = scalein.patcher(kubernetes)
        for cost in (11, 12):
            patch("io-1", cost)
        # Its version, when the connection is made.
        assert len(api.asked) <= 1
        path = "/api/v1/namespaces/shop/pods/io-1"
        costs = [{"metadata": {"annotations": {scalein.ANNOTATION: cost}}} for cost in ("11", "12")]
        assert api.changes == [(path, cost) for cost in costs]
