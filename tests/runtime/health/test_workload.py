"""What Celery's own state says to the probes."""

import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency import solo
from celery.concurrency.gevent import TaskPool as GeventPool
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.asynchronous import Hub
from kombu.utils.limits import TokenBucket

from celery_runtime.health.probes import LoopSign
from celery_runtime.health.workload import Consumption, ThisProcess


def request(**more: Any) -> SimpleNamespace:  # noqa: ANN401 # attributes of any kind
    task = SimpleNamespace(time_limit=None)
    return SimpleNamespace(
        **{"time_start": None, "time_limits": (None, None), "task": task, **more}
    )


def consumption(pool: object, **more: object) -> Consumption:
    controller = SimpleNamespace(time_limit=None)
    fields = {"pool": pool, "task_buckets": {}, "controller": controller, **more}
    return Consumption(SimpleNamespace(**fields))


def solo_pool() -> solo.TaskPool:
    pool = solo.TaskPool.__new__(solo.TaskPool)
    pool.limit = 1
    return pool


def gevent_pool() -> GeventPool:
    pool = GeventPool.__new__(GeventPool)
    pool.limit = 1
    return pool


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    tasks: list[SimpleNamespace] = []
    monkeypatch.setattr(state, "active_requests", tasks)
    return tasks


@pytest.mark.parametrize("flag", ["should_stop", "should_terminate"])
@pytest.mark.parametrize("exit_code", [0, 1, True])
def test_a_worker_drains_from_the_signal_to_stop(
    monkeypatch: pytest.MonkeyPatch, flag: str, exit_code: int
) -> None:
    assert not ThisProcess().draining()
    monkeypatch.setattr(state, flag, exit_code)
    assert ThisProcess().draining()


def test_a_worker_that_stops_by_itself_drains() -> None:
    process = ThisProcess()
    process.stopping = True
    assert process.draining()


def test_only_pools_that_run_tasks_in_the_loop_s_thread_are_held_up_by_them(
    running: list[SimpleNamespace],
) -> None:
    pools = (gevent_pool(), solo_pool())
    assert not any(consumption(pool).held_up() for pool in pools)
    running.append(request())
    assert all(consumption(pool).held_up() for pool in pools)
    assert not consumption(SimpleNamespace(num_processes=1)).held_up()


@pytest.mark.parametrize("source", ["message", "task", "worker", "nobody"])
def test_a_task_past_its_time_limit_holds_the_loop_up_no_longer(
    running: list[SimpleNamespace], source: str
) -> None:
    def limit(name: str) -> float | None:
        return 10 if name == source else None

    worker = consumption(solo_pool(), controller=SimpleNamespace(time_limit=limit("worker")))
    task = SimpleNamespace(time_limit=limit("task"))
    running.append(request(task=task, time_limits=(limit("message"), None)))
    for seconds, is_past in ((9, False), (11, source != "nobody")):
        running[0].time_start = time.time() - seconds
        assert worker.held_up() is not is_past


def test_slots_are_taken_by_what_runs_by_what_waits_for_its_time_and_by_rate_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = TokenBucket(1, capacity=1)
    buckets = {"limited": bucket, "unlimited": None}
    worker = consumption(SimpleNamespace(num_processes=3), task_buckets=buckets)
    assert worker.slots_free()
    monkeypatch.setattr(state, "reserved_requests", {object()})
    monkeypatch.setattr(state, "scheduled_requests", {object()})
    assert worker.slots_free()
    bucket.add(object())
    assert not worker.slots_free()


def test_celery_s_event_loop_gives_a_sign() -> None:
    hub = Hub()
    sign = LoopSign(Consumption(SimpleNamespace(call_soon=hub.call_soon)).call_soon, time.monotonic)
    assert not sign.has_turned
    hub.run_once()
    assert sign.has_turned
    hub.close()


def test_celery_s_blocking_loop_gives_a_sign() -> None:
    consumer = Consumer.__new__(Consumer)
    consumer.hub, consumer._pending_operations = None, deque()
    sign = LoopSign(Consumption(consumer).call_soon, time.monotonic)
    assert not sign.has_turned
    consumer.perform_pending_operations()
    assert sign.has_turned
