"""What the probes say, and how they learn it."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
from celery.concurrency import solo
from celery.concurrency.gevent import TaskPool as GeventPool
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.asynchronous import Hub

from celery_runtime import PortTakenError, beat, health


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Loop:
    """A loop that turns when told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def turn(self) -> None:
        while self.waiting:
            self.waiting.pop()()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def probes(clock: Clock) -> health.WorkerProbes:
    return health.WorkerProbes(draining=bool, clock=clock)


def test_before_the_broker_is_there_a_worker_is_alive_and_not_ready(
    probes: health.WorkerProbes, clock: Clock
) -> None:
    clock.seconds += 3600
    assert probes.live() == health.Verdict(True, "waiting for the broker")
    assert probes.ready() == health.Verdict(False, "waiting for the broker")


def test_a_worker_is_ready_from_the_first_turn_of_its_loop(
    probes: health.WorkerProbes, loop: Loop
) -> None:
    probes.connected(loop.waiting.append, bool)
    assert probes.ready() == health.Verdict(False, "connected, about to consume")
    loop.turn()
    assert probes.ready() == health.Verdict(True, "consuming")


def test_a_loop_that_does_not_turn_is_dead_only_after_a_while(
    probes: health.WorkerProbes, loop: Loop, clock: Clock
) -> None:
    probes.connected(loop.waiting.append, bool)
    loop.turn()
    assert probes.live().ok
    clock.seconds += health.STUCK_AFTER_SECONDS
    assert probes.live().ok
    clock.seconds += 1
    assert probes.live() == health.Verdict(False, "the consumer loop has been stuck for 61 s")
    assert not probes.ready().ok
    loop.turn()
    assert probes.live().ok
    assert probes.ready().ok


def test_a_loop_that_turns_lives_however_rarely_it_is_asked(
    probes: health.WorkerProbes, loop: Loop, clock: Clock
) -> None:
    probes.connected(loop.waiting.append, bool)
    for _ in range(5):
        loop.turn()
        clock.seconds += 10 * health.STUCK_AFTER_SECONDS
        assert probes.live().ok


def test_a_loop_that_is_held_up_by_a_full_pool_is_not_stuck(
    probes: health.WorkerProbes, loop: Loop, clock: Clock
) -> None:
    probes.connected(loop.waiting.append, lambda: True)
    clock.seconds += 10 * health.STUCK_AFTER_SECONDS
    assert probes.live() == health.Verdict(True, "every slot is taken")


def test_a_lost_broker_is_not_a_stuck_loop(
    probes: health.WorkerProbes, loop: Loop, clock: Clock
) -> None:
    probes.connected(loop.waiting.append, bool)
    probes.disconnected()
    clock.seconds += 10 * health.STUCK_AFTER_SECONDS
    assert probes.live().ok
    assert probes.ready() == health.Verdict(False, "waiting for the broker")


def test_one_question_is_open_at_a_time(probes: health.WorkerProbes, loop: Loop) -> None:
    probes.connected(loop.waiting.append, bool)
    for _ in range(100):
        probes.live()
        probes.ready()
    assert len(loop.waiting) == 1


@pytest.mark.parametrize("flag", ["should_stop", "should_terminate"])
@pytest.mark.parametrize("exit_code", [0, 1, True])
def test_the_signal_to_stop_ends_readiness_at_once(
    monkeypatch: pytest.MonkeyPatch, flag: str, exit_code: int, loop: Loop
) -> None:
    probes = health.WorkerProbes()
    probes.connected(loop.waiting.append, bool)
    loop.turn()
    assert probes.ready().ok
    monkeypatch.setattr(state, flag, exit_code)
    assert probes.ready() == health.Verdict(False, "shutting down")
    assert probes.live() == health.Verdict(True, "shutting down")


def test_celery_s_event_loop_answers_the_question() -> None:
    hub = Hub()
    sign = health.LoopSign(hub.call_soon, time.monotonic)
    assert not sign.has_turned
    hub.run_once()
    assert sign.has_turned
    hub.close()


def test_celery_s_blocking_loop_answers_the_question() -> None:
    consumer = Consumer.__new__(Consumer)
    consumer.hub, consumer._pending_operations = None, []
    sign = health.LoopSign(consumer.call_soon, time.monotonic)
    consumer._pending_operations.reverse()
    assert not sign.has_turned
    (answer,) = consumer._pending_operations
    answer()
    assert sign.has_turned


def test_only_pools_that_run_tasks_in_the_loop_s_thread_can_hold_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def taken(pool: object) -> bool:
        return health._slots_taken(SimpleNamespace(pool=pool))

    full = {object()}
    monkeypatch.setattr(state, "active_requests", full)
    gevent_pool = GeventPool.__new__(GeventPool)
    gevent_pool.limit = 1
    blocking = solo.TaskPool.__new__(solo.TaskPool)
    blocking.limit = 1
    assert taken(gevent_pool)
    assert taken(blocking)
    assert not taken(SimpleNamespace(num_processes=1))
    full.clear()
    assert not taken(gevent_pool)
    assert not taken(blocking)


@pytest.fixture
def server(probes: health.WorkerProbes) -> health.Server:
    server = health.Server(probes, port=0)
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


def test_the_answer_over_http_is_one_line_with_a_reason(server: health.Server) -> None:
    assert ask(server.port, "/live") == (200, {"ok": True, "reason": "waiting for the broker"})
    assert ask(server.port, "/ready") == (503, {"ok": False, "reason": "waiting for the broker"})
    assert ask(server.port, "/metrics")[0] == 404


def test_a_client_that_says_nothing_delays_no_probe(server: health.Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    assert ask(server.port, "/live")[0] == 200
    for client in silent:
        client.close()


def test_a_probe_costs_less_than_two_milliseconds_of_cpu(server: health.Server) -> None:
    ask(server.port, "/live")
    before = time.process_time()
    for _ in range(100):
        ask(server.port, "/live")
    # The client's half is in it too.
    assert (time.process_time() - before) / 100 < 0.002


def test_a_port_that_is_taken_is_refused_with_the_mend(server: health.Server) -> None:
    with pytest.raises(PortTakenError, match=rf"port {server.port}: .* CELERY_RUNTIME_HEALTH_PORT"):
        health.Server(health.WorkerProbes(), port=server.port)


def test_the_server_never_keeps_a_process_alive(server: health.Server) -> None:
    assert server.port
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "probes")


def test_beat_is_alive_while_it_waits_for_its_first_tick(clock: Clock) -> None:
    probes = beat.BeatProbes(clock=clock)
    probes.starting("Redis")
    clock.seconds += 3600
    assert probes.live() == health.Verdict(True, "waiting for Redis")
    assert probes.ready() == health.Verdict(False, "waiting for Redis")


def test_beat_is_dead_when_its_ticks_stop(clock: Clock) -> None:
    probes = beat.BeatProbes(clock=clock)
    probes.ticked()
    assert probes.ready() == health.Verdict(True, "ticking")
    clock.seconds += beat.STALE_AFTER_SECONDS + 1
    assert probes.live() == health.Verdict(False, "no tick of the schedule for 61 s")
    assert not probes.ready().ok
    probes.ticked()
    assert probes.live().ok


def test_beat_that_waits_for_the_broker_is_alive_and_not_ready(clock: Clock) -> None:
    probes = beat.BeatProbes(clock=clock)
    probes.ticked()
    probes.waiting("the broker")
    assert probes.live() == health.Verdict(True, "waiting for the broker")
    assert probes.ready() == health.Verdict(False, "waiting for the broker")
    clock.seconds += beat.STALE_AFTER_SECONDS + 1
    assert not probes.live().ok
