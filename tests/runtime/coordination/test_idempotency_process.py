"""Once in effect between real workers, under both pools, with a Redis that goes away."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from celery_runtime import DuplicateInFlightError
from tests.runtime.coordination.effects import DEADLINE_SECONDS, Effects, wait
from tests.runtime.redisserver import RedisServer

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Service, Start

POOLS = {"default": "prefork", "email": "gevent"}


def errors(service: "Service") -> list[dict[str, Any]]:
    return [line for line in service.lines() if line["level"] == "ERROR"]


def start_both(shared: "Start", count: int = 1) -> "dict[str, list[Service]]":
    """By queue, the workers of one pool that consume it."""
    services = {
        queue: [shared(pool, queues=queue) for _ in range(count)] for queue, pool in POOLS.items()
    }
    for service in chain.from_iterable(services.values()):
        service.wait_for("ready", 200)
    return services


def test_duplicates_have_one_effect_and_the_first_ones_result(
    shared: "Start", producer: Celery, effects: Effects
) -> None:
    services = start_both(shared)
    for queue in services:
        effects.hold(queue)
    sent = {
        queue: [producer.send_task("shared.charge", [queue], queue=queue) for _ in range(3)]
        for queue in services
    }
    for queue, [service] in services.items():
        first = effects.wait_for_run(queue).task_id
        effects.release(queue)
        assert {result.get(timeout=DEADLINE_SECONDS) for result in sent[queue]} == {first}
        assert len(effects.runs(queue)) == 1
        assert not errors(service)


def test_a_lock_that_redis_has_lost_is_said_while_the_task_still_runs(
    shared: "Start", producer: Celery, effects: Effects, redis_url: str
) -> None:
    services = start_both(shared)
    for queue, [service] in services.items():
        effects.hold(queue)
        sent = producer.send_task("shared.charge", [queue], queue=queue)
        effects.wait_for_run(queue)
        with Redis.from_url(f"{redis_url}/0") as store:
            assert store.delete(f"shared:lock:shared.charge:{queue}") == 1
        line = service.wait_for_line(level="ERROR", task_id=sent.id)
        assert line["message"].startswith(f"shared:lock:shared.charge:{queue}: the lock was lost")
        effects.release(queue)
        assert sent.get(timeout=DEADLINE_SECONDS) == sent.id
        assert errors(service) == [line]


def kill(service: "Service") -> None:
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in [pid, *map(int, children)]:
        os.kill(each, signal.SIGKILL)
    service.process.wait(timeout=DEADLINE_SECONDS)


@dataclass(frozen=True)
class Killed:
    """Work whose worker was killed, its message as the broker delivers it again, a duplicate."""

    at: float
    message: AsyncResult
    duplicate: AsyncResult


def kill_at_work(
    services: "list[Service]", producer: Celery, effects: Effects, queue: str
) -> Killed:
    def send(**options: str) -> AsyncResult:
        return producer.send_task("shared.charge_or_reject", [queue], queue=queue, **options)

    effects.hold(queue)
    first = send()
    processes = effects.wait_for_run(queue).processes
    [victim] = [service for service in services if service.process.pid in processes]
    kill(victim)
    effects.release(queue)
    return Killed(time.time(), send(task_id=first.id), send())


def test_what_a_killed_worker_did_not_finish_is_done_when_its_lease_ends(
    shared: "Start", producer: Celery, effects: Effects
) -> None:
    killed = {
        queue: kill_at_work(services, producer, effects, queue)
        for queue, services in start_both(shared, count=2).items()
    }
    for queue, work in killed.items():
        assert work.message.get(timeout=DEADLINE_SECONDS) == work.message.id
        with pytest.raises(Exception, match="another run of it has not ended yet") as caught:
            work.duplicate.get(timeout=DEADLINE_SECONDS)
        assert type(caught.value).__name__ == DuplicateInFlightError.__name__
        [_, second] = effects.runs(queue)
        assert (second.task_id, second.retries) == (work.message.id, 0)
        assert second.at - work.at > 1


@pytest.fixture
def store_server(reachable: "Mounted", tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that only @once uses."""
    server = RedisServer(tmp_path)
    server.start()
    reachable.settings["config"]["redbeat_redis_url"] = f"{server.url}/0"
    reachable.write()
    yield server
    server.stop()


def test_an_outage_of_redis_loses_no_task_and_is_said_once_a_process(
    store_server: RedisServer, shared: "Start", producer: Celery, effects: Effects
) -> None:
    services = list(chain.from_iterable(start_both(shared).values()))
    store_server.stop()
    sent = [
        producer.send_task("shared.charge", [f"{queue} {number}"], queue=queue)
        for queue in POOLS
        for number in range(3)
    ]
    wait(lambda: put_back(services) == {result.id for result in sent})
    assert not effects.all_runs()
    store_server.start()
    assert [result.get(timeout=DEADLINE_SECONDS) for result in sent] == [each.id for each in sent]
    ran = [(run.task_id, run.retries) for run in effects.all_runs()]
    assert sorted(ran) == sorted((result.id, 0) for result in sent)

    in_children, in_hub = (said_of_redis(service) for service in services)
    assert in_hub == ["WARNING", "INFO"]
    # Each of the two children is a process of its own.
    assert 1 <= in_children.count("WARNING") <= 2
    assert in_children.count("INFO") <= in_children.count("WARNING")


def put_back(services: "list[Service]") -> set[str]:
    lines = [line for service in services for line in service.lines()]
    return {line["task_id"] for line in lines if "Put back for" in line["message"]}


def said_of_redis(service: "Service") -> list[str]:
    return [
        line["level"]
        for line in service.lines()
        if line["logger"] == "celery_runtime.coordination.store"
    ]
