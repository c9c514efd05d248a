"""The page /work of real workers, in every pool."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.runtime.conftest import POOLS, Service, Start, wait_until

every_pool = pytest.mark.parametrize("pool", POOLS)

Page = dict[str, Any]
StartCounted = Callable[..., Service]


@pytest.fixture
def counted(worker: Start) -> StartCounted:
    """Starts a worker of countedapp and waits until it consumes."""

    def start(pool: str, *options: str, **more: str) -> Service:
        service = worker(pool, *options, app="countedapp:app", **more)
        service.wait_for("ready", 200)
        return service

    return start


def page(service: Service, after: object = "") -> Page:
    answer: Page = json.loads(service.page(f"work?after={after}"))
    return answer


def row(service: Service, name: str, queue: str = "default") -> Page:
    rows = {(each["name"], each["queue"]): each for each in page(service)["tasks"]}
    return dict(rows.get((name, queue), {}))


def wait_for(service: Service, name: str, queue: str = "default", **counts: object) -> Page:
    """The row of a task, once it has these counts."""
    wait_until(
        lambda: counts.items() <= row(service, name, queue).items(),
        f"{name} from {queue}: {counts}, last {page(service)}",
    )
    return row(service, name, queue)


@every_pool
def test_a_worker_counts_every_end_of_a_task_without_any_event(
    counted: StartCounted, producer: Celery, pool: str
) -> None:
    service = counted(pool)
    for name in ("work", "work", "fail", "again", "refuse", "own_request"):
        producer.send_task(f"counted.{name}", queue="default")
    producer.send_task("counted.work", queue="email")
    producer.send_task("counted.unknown", queue="email")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    producer.send_task("counted.work", queue="email", expires=long_ago)

    work = wait_for(service, "counted.work", received=2, started=2, succeeded=2, ended=2)
    assert (work["failed"], work["failures"]) == (0, {})
    assert sum(work["runtime"]["counts"]) == 2
    wait_for(service, "counted.fail", received=1, started=1, failed=1, failures={"ValueError": 1})
    wait_for(service, "counted.again", received=2, started=2, retried=1, succeeded=1, ended=2)
    # Celery tells of both.
    wait_for(service, "counted.refuse", received=1, failed=1, rejected=1, ended=1)
    wait_for(service, "counted.own_request", received=1, started=1, succeeded=1, ended=1)
    wait_for(service, "counted.work", "email", received=1, revoked=1, succeeded=1)
    assert page(service)["fetched"] == {"default": 7, "email": 3}
    assert page(service)["running"] == []


@every_pool
def test_a_worker_tells_what_it_runs_and_how_much_it_could(
    counted: StartCounted, producer: Celery, pool: str, tmp_path: Path
) -> None:
    service = counted(pool)
    producer.send_task("counted.hold", [str(tmp_path / "end")], queue="email")
    wait_until(lambda: page(service)["running"], "it runs")
    [(name, queue, seconds)] = page(service)["running"]
    assert (name, queue) == ("counted.hold", "email")
    assert 0 <= seconds < 60
    assert page(service)["slots"] == (1 if pool == "solo" else 2)
    assert sorted(page(service)["queues"]) == ["default", "email"]
    assert page(service)["worker"].startswith("io@")
    assert page(service)["draining"] is False
    service.terminate()
    wait_until(lambda: page(service)["draining"], "it drains")
    (tmp_path / "end").touch()
    assert service.process.wait(timeout=20) == 0


@every_pool
def test_a_worker_tells_how_long_its_latest_tasks_ran_and_waited(
    counted: StartCounted, producer: Celery, pool: str
) -> None:
    service = counted(pool)
    producer.send_task("counted.work", [0.2], queue="default")
    wait_for(service, "counted.work", ended=1)
    [[number, name, queue, ran, waited]] = page(service)["ended"]["tasks"]
    assert (number, name, queue) == (1, "counted.work", "default")
    assert 0.2 <= ran < 20
    assert 0 <= waited < 20
    assert page(service, after=1)["ended"] == {"last": 1, "tasks": []}
    producer.send_task("counted.fail", queue="default")
    wait_for(service, "counted.fail", ended=1)
    assert [end[:3] for end in page(service, after=1)["ended"]["tasks"]] == [
        [2, "counted.fail", "default"]
    ]


@every_pool
def test_events_that_are_on_count_nothing_twice(
    counted: StartCounted, producer: Celery, pool: str
) -> None:
    service = counted(pool, "--task-events")
    for name in ("work", "fail"):
        producer.send_task(f"counted.{name}", queue="default")
    wait_for(service, "counted.work", received=1, started=1, succeeded=1, ended=1)
    wait_for(service, "counted.fail", received=1, started=1, failed=1, ended=1)
