"""What breaks in plain Celery 5.7 on RabbitMQ 4, and does not break here.

The first half of each test asserts the failure of plain Celery. When an upgrade of Celery makes
such a half fail, the trap is gone, and so may be what the package does about it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from tests.runtime.brokers.bench import QUIET, SAFE, Bench, exits, ready, wait_until
from tests.runtime.brokers.servers import Container
from tests.runtime.conftest import Mounted, Service, Start

CONFIRMS: dict[str, Any] = {"broker_transport_options": {"confirm_publish": True}}
IDLE_SECONDS = 12
SOON_SECONDS = 20
TASKS = 200


def test_gevent_with_confirms_and_events_deadlocks_unless_events_go_without_confirms(
    rabbit_bench: Bench,
) -> None:
    plain = [rabbit_bench.plain("gevent", "--task-events", **CONFIRMS) for _ in range(4)]
    events = ("worker_send_task_events", "task_send_sent_event")
    rabbit_bench.mounted.settings["config"] = dict.fromkeys(events, True)
    shipped = [
        *(rabbit_bench.shipped("gevent") for _ in range(3)),
        # As the chart starts them: the first event is sent by a task, while the loop runs.
        *(rabbit_bench.shipped("gevent", *QUIET) for _ in range(3)),
    ]
    ready(*plain, *shipped)
    producer, plain_producer = rabbit_bench.producer(), rabbit_bench.plain_producer()
    with received_events(producer) as received:
        time.sleep(IDLE_SECONDS)
        for _ in range(20):
            producer.send_task("journal.send", [5])
        rabbit_bench.journal.wait("done", count=120)
        wanted = {"task-sent", "task-succeeded", "worker-heartbeat"}
        wait_until(lambda: wanted <= set(received))
    # About one event in a hundred deadlocks its worker, so not every dozen seconds do.
    wait_until(lambda: fall_silent(rabbit_bench, plain_producer))
    codes = exits(*plain, *shipped, within_seconds=15)
    assert None in codes[:4]
    assert codes[4:] == [0] * 6


def fall_silent(bench: Bench, producer: Celery) -> bool:
    """Whether the workers leave something of what they are sent undone for seconds."""
    sent = {producer.send_task("journal.work", [0.05]).id for _ in range(40)}
    try:
        wait_until(lambda: sent <= set(bench.journal.entries("done")), within_seconds=5)
    except AssertionError:
        return True
    return False


def test_gevent_with_events_runs_ten_tasks_a_second_unless_it_waits_for_no_heartbeat_between_them(
    rabbit_bench: Bench,
) -> None:
    plain = rabbit_bench.plain("gevent", "--task-events")
    rabbit_bench.mounted.settings["config"] = {"worker_send_task_events": True}
    shipped = rabbit_bench.shipped("gevent")
    ready(plain, shipped)
    sent = {}
    for kind, producer in (
        ("plain", rabbit_bench.plain_producer()),
        ("shipped", rabbit_bench.producer()),
    ):
        sent[kind] = {producer.send_task("journal.work").id for _ in range(TASKS)}
    wait_until(
        lambda: sent["shipped"] <= set(rabbit_bench.journal.entries("done")),
        within_seconds=TASKS / 10 / 2,
    )
    assert not sent["plain"] <= set(rabbit_bench.journal.entries("done"))


def test_gevent_connects_for_each_result_unless_its_tasks_share_the_backend(
    rabbit_bench: Bench, redis_url: str
) -> None:
    # More than the 100 connections that redis-py allows a pool.
    options = (*QUIET, "--concurrency=150")
    plain = rabbit_bench.plain("gevent", *options, result_backend=f"{redis_url}/0")
    shipped = rabbit_bench.shipped("gevent", *options)
    ready(plain, shipped)
    made: list[int] = []
    for worker, producer in (
        (plain, rabbit_bench.plain_producer()),
        (shipped, rabbit_bench.producer()),
    ):
        before = connections(redis_url)
        for _ in range(3 * TASKS):
            producer.send_task("journal.work", [1])
        rabbit_bench.journal.wait("done", count=(len(made) + 1) * 3 * TASKS)
        assert exits(worker, within_seconds=SOON_SECONDS) == [0]
        made.append(connections(redis_url) - before)
    assert made[0] > 3 * TASKS
    # And a few of the producer's.
    assert made[1] < 160
    assert "Too many connections" not in shipped.log.read_text()


def test_countdowns_fill_a_worker_unless_the_broker_holds_them(rabbit_bench: Bench) -> None:
    plain, shipped = rabbit_bench.plain("prefork", **SAFE), rabbit_bench.shipped("prefork")
    ready(plain, shipped)
    last = {}
    for kind, producer in (
        ("plain", rabbit_bench.plain_producer()),
        ("shipped", rabbit_bench.producer()),
    ):
        for _ in range(4):
            producer.send_task("journal.work", countdown=10)
        last[kind] = producer.send_task("journal.work").id
    wait_until(lambda: last["shipped"] in rabbit_bench.journal.entries("done"), within_seconds=5)
    assert last["plain"] not in rabbit_bench.journal.entries("done")
    rabbit_bench.journal.wait("done", count=10, within_seconds=30)


def test_a_countdown_below_a_second_is_an_error_unless_it_is_rounded_up(
    rabbit_bench: Bench,
) -> None:
    shipped = rabbit_bench.shipped("prefork")
    ready(shipped)
    producer = rabbit_bench.producer()
    plain = Celery("plain", set_as_current=False)
    plain.conf.update({**producer.conf, "task_always_eager": False})
    with pytest.raises(ValueError, match="positive number"):
        plain.send_task("journal.work", countdown=0.5)
    task = producer.send_task("journal.work", countdown=0.5)
    rabbit_bench.journal.wait("done", within_seconds=SOON_SECONDS)
    assert rabbit_bench.journal.entries("done") == [task.id]


def test_a_task_that_kills_its_worker_runs_for_ever_unless_it_is_buried(
    rabbit_bench: Bench,
) -> None:
    rabbit_bench.mounted.settings["queues"][rabbit_bench.queue] = {"deliveryLimit": 2}
    plain = rabbit_bench.plain("prefork", **SAFE)
    shipped = rabbit_bench.shipped("prefork")
    ready(plain, shipped)
    doomed = rabbit_bench.plain_producer().send_task("journal.die").id
    buried = rabbit_bench.producer().send_task("journal.die").id
    wait_until(lambda: rabbit_bench.depth(f"{rabbit_bench.queue}.dead") == 1)
    wait_until(lambda: rabbit_bench.journal.entries("begun").count(doomed) > 6)
    assert rabbit_bench.journal.entries("begun").count(buried) == 3
    assert rabbit_bench.depth() == 0
    death = rabbit_bench.take(f"{rabbit_bench.queue}.dead").headers["x-death"][0]
    assert (death["reason"], death["queue"]) == ("delivery_limit", rabbit_bench.queue)


def test_a_schedule_stands_still_for_25_minutes_unless_its_lock_is_short(
    beat: Callable[[], Service], celery: Start, reachable: Mounted, redis_url: str
) -> None:
    settings = f'{{"redbeat_redis_url": "{redis_url}/2", "broker_url": "{redis_url}/2"}}'
    plain = celery(
        "beat",
        "--scheduler=redbeat.RedBeatScheduler",
        module="journal:app",
        PLAIN_SETTINGS=settings,
    )
    reachable.settings["config"]["redbeat_lock_timeout"] = 5
    reachable.write()
    shipped = beat()
    shipped.wait_for("ready", 200)
    assert left_seconds(f"{redis_url}/2") > 1000
    assert 0 < left_seconds(f"{redis_url}/0") <= 5
    for service in (plain, shipped):
        service.process.kill()
    beat().wait_for("ready", 200)
    for database in (0, 2):
        with Redis.from_url(f"{redis_url}/{database}") as store:
            store.flushdb()


def test_rabbitmq_knows_two_priorities_up_to_4_2_and_each_one_from_4_3_on(
    rabbitmq: Container, rabbit_bench: Bench
) -> None:
    worker = rabbit_bench.shipped("prefork")
    ready(worker)
    assert exits(worker, within_seconds=SOON_SECONDS) == [0]
    producer = rabbit_bench.producer()
    for priority in (0, 4, 5, 9) * 3:
        producer.send_task("journal.work", priority=priority)
    wait_until(lambda: rabbit_bench.depth() == 12)
    order = [rabbit_bench.take(rabbit_bench.queue).properties["priority"] for _ in range(12)]
    if rabbitmq.version() >= (4, 3):
        assert order == [*[9] * 3, *[5] * 3, *[4] * 3, *[0] * 3]
        return
    # The higher of two comes first twice in three.
    assert [p for p in order if p > 4] == [5, 9] * 3
    assert [p for p in order if p < 5] == [0, 4] * 3
    assert sum(p > 4 for p in order[:6]) == 4


def connections(url: str) -> int:
    """How many connections were ever made to a Redis."""
    with Redis.from_url(url) as store:
        return int(store.info("stats")["total_connections_received"])


def left_seconds(url: str) -> float:
    """How long the schedule's lock still stands."""
    with Redis.from_url(url) as store:
        wait_until(lambda: bool(store.exists("redbeat::lock")))
        return float(store.pttl("redbeat::lock")) / 1000


@contextmanager
def received_events(app: Celery) -> Iterator[list[str]]:
    """The types of the events that arrive meanwhile."""
    types: list[str] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(
            connection, handlers={"*": lambda event: types.append(event["type"])}
        )
        consumer = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        consumer.start()
        yield types
        receiver.should_stop = True
        consumer.join(timeout=10)
