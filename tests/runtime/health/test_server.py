"""The server of the probes, and what beat tells it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from celery import Celery, signals

from celery_runtime import PortTakenError, SettingsError
from celery_runtime.beat.probes import STALE_AFTER_SECONDS, BeatProbes
from celery_runtime.health.probes import Verdict, WorkerProbes
from celery_runtime.health.server import Response, Server
from celery_runtime.health.steps import ProbeServer, stuck_after_seconds
from celery_runtime.health.workload import ThisProcess
from tests.runtime.health.fakes import Clock


class Alive:
    """Something that lives and is not ready."""

    def live(self) -> Verdict:
        return Verdict(True, "waiting for the broker")

    def ready(self) -> Verdict:
        return Verdict(False, "waiting for the broker")


@pytest.fixture
def server() -> Server:
    server = Server(Alive(), port=0)
    server.start()
    return server


def ask(port: int, path: str) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert body.count(b"\n") == 1
    return answer.status, json.loads(body)


def test_the_answer_over_http_is_one_line_with_a_reason(server: Server) -> None:
    assert ask(server.port, "/live") == (200, {"ok": True, "reason": "waiting for the broker"})
    assert ask(server.port, "/ready") == (503, {"ok": False, "reason": "waiting for the broker"})
    assert ask(server.port, "/metrics")[0] == 404


def test_a_page_says_what_it_is_and_what_a_browser_may_do_with_it() -> None:
    page = Response(kind="text/html", body="<p>é", headers={"Referrer-Policy": "no-referrer"})
    server = Server(Alive(), port=0, pages={"/": lambda: page, "/metrics": lambda: "up 1\n"})
    server.start()
    with urlopen(f"http://127.0.0.1:{server.port}/", timeout=2) as answer:
        assert answer.read().decode() == "<p>é"
        assert answer.headers["Content-Type"] == "text/html"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=2) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.read() == b"up 1\n"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_page_in_parts_arrives_whole_whatever_the_client_speaks(version: str) -> None:
    parts = ["é" * 100_000, "", "the end\n"]
    server = Server(Alive(), port=0, pages={"/metrics": lambda: iter(parts)})
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(f"GET /metrics {version}\r\nHost: x\r\n\r\n".encode())
        answer = HTTPResponse(client)
        answer.begin()
        assert (answer.status, answer.read().decode()) == (200, "".join(parts))
        assert answer.chunked == (version == "HTTP/1.1")


def test_a_page_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    def broken() -> Iterator[str]:
        yield "one part\n"
        raise OSError("the rest cannot be had")

    server = Server(Alive(), port=0, pages={"/metrics": broken})
    server.start()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/metrics")
    with closing(connection), pytest.raises(HTTPException):
        connection.getresponse().read()


def test_a_client_that_says_nothing_delays_no_probe(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    assert ask(server.port, "/live")[0] == 200
    for client in silent:
        client.close()


def test_a_probe_costs_less_than_two_milliseconds_of_cpu(server: Server) -> None:
    ask(server.port, "/live")
    before = time.process_time()
    for _ in range(100):
        ask(server.port, "/live")
    # The client's half is in it too.
    assert (time.process_time() - before) / 100 < 0.002


def test_a_port_that_is_taken_is_refused_with_the_mend(server: Server) -> None:
    with pytest.raises(PortTakenError, match=rf"port {server.port}: .* CELERY_RUNTIME_HEALTH_PORT"):
        Server(Alive(), port=server.port)


def test_the_server_never_keeps_a_process_alive(server: Server) -> None:
    assert server.port
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "probes")


class Counting(WorkerProbes):
    """Probes that count the messages they are told of."""

    messages = 0

    def fetched(self, **_: object) -> None:
        self.messages += 1


def test_every_message_good_or_bad_counts_as_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RUNTIME_HEALTH_PORT", "0")
    worker = SimpleNamespace(app=Celery("counted", broker="memory://"))
    step = ProbeServer(worker)
    worker.probes = Counting(ThisProcess())
    step.start(worker)
    received = (signals.task_received, signals.task_revoked)
    for signal in (*received, signals.task_rejected, signals.task_unknown):
        signal.send(sender=None)
    assert worker.probes.messages == 4


def test_a_worker_that_stops_by_itself_says_that_it_shuts_down() -> None:
    worker = SimpleNamespace()
    step = ProbeServer(worker)
    assert worker.probes.ready().reason == "waiting for the broker"
    step.close(worker)
    assert worker.probes.ready() == Verdict(False, "shutting down, no task left")


def test_beat_is_alive_while_it_waits_for_its_first_tick(clock: Clock) -> None:
    probes = BeatProbes(clock=clock)
    probes.starting("Redis")
    clock.seconds += 3600
    assert probes.live() == Verdict(True, "waiting for Redis")
    assert probes.ready() == Verdict(False, "waiting for Redis")


def test_beat_is_dead_when_its_ticks_stop(clock: Clock) -> None:
    probes = BeatProbes(clock=clock)
    probes.ticked()
    assert probes.ready() == Verdict(True, "ticking")
    clock.seconds += STALE_AFTER_SECONDS + 1
    assert probes.live() == Verdict(False, "no tick of the schedule for 61 s")
    assert not probes.ready().ok
    probes.ticked()
    assert probes.live().ok


def test_beat_that_waits_for_the_broker_is_alive_and_not_ready(clock: Clock) -> None:
    probes = BeatProbes(clock=clock)
    probes.ticked()
    probes.waiting("the broker")
    assert probes.live() == Verdict(True, "waiting for the broker")
    assert probes.ready() == Verdict(False, "waiting for the broker")
    clock.seconds += STALE_AFTER_SECONDS + 1
    assert not probes.live().ok


def test_how_soon_a_worker_is_called_stuck_is_the_user_s_to_say() -> None:
    name = "CELERY_RUNTIME_STUCK_AFTER_SECONDS"
    assert stuck_after_seconds({}) == 60
    assert stuck_after_seconds({name: ""}) == 60
    assert stuck_after_seconds({name: "300"}) == 300
    for wrong in ("4", "-60", "1m", "60.5"):
        with pytest.raises(SettingsError, match=rf"{name} must be .* at least 5, not '{wrong}'"):
            stuck_after_seconds({name: wrong})
