"""What a worker does with its work and its messages when it is told to stop."""

import socket
import time
from urllib.parse import quote

import pytest
from redis import Redis

from tests.runtime.brokers.bench import Bench, exits, ready, wait_until
from tests.runtime.brokers.conftest import Servers
from tests.runtime.brokers.servers import Container
from tests.runtime.conftest import CHART_POOLS

#: A shutdown without work, on a loaded machine.
PROMPT_SECONDS = 8
#: Five answers that do not come, and the goodbye: 20, and more on a loaded machine.
SILENT_SECONDS = 40
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


def test_what_outlasts_the_drain_goes_back_to_the_queue_at_once(rabbit_bench: Bench) -> None:
    assert_it_goes_back(rabbit_bench)


def test_what_outlasts_the_drain_goes_back_to_a_redis_queue_at_once(redis_bench: Bench) -> None:
    assert_it_goes_back(redis_bench)


def assert_it_goes_back(bench: Bench) -> None:
    workers = [bench.shipped(pool, CELERY_RUNTIME_DRAIN_SECONDS="2") for pool in CHART_POOLS]
    ready(*workers)
    producer = bench.producer()
    tasks = {producer.send_task("journal.work", [60]).id for _ in range(4)}
    bench.journal.wait("begun", count=4)
    before = time.monotonic()
    assert exits(*workers, within_seconds=2 + PROMPT_SECONDS) == [0, 0]
    assert time.monotonic() - before > 2
    assert bench.depth() == 4
    successor = bench.shipped("gevent", "--concurrency=4")
    bench.journal.wait("begun", count=8, within_seconds=20)
    assert sorted(bench.journal.entries("begun")) == sorted([*tasks, *tasks])
    assert bench.journal.entries("done") == []
    successor.process.kill()


def test_a_shutdown_ends_when_the_work_ends(rabbit_bench: Bench) -> None:
    workers = [
        rabbit_bench.shipped(pool, CELERY_RUNTIME_DRAIN_SECONDS="60") for pool in CHART_POOLS
    ]
    ready(*workers)
    producer = rabbit_bench.producer()
    for _ in range(4):
        producer.send_task("journal.work", [2])
    rabbit_bench.journal.wait("begun", count=4)
    assert exits(*workers, within_seconds=2 + PROMPT_SECONDS) == [0, 0]
    assert len(rabbit_bench.journal.entries("done")) == 4
    assert rabbit_bench.depth() == 0


def test_a_worker_that_waits_for_a_silent_broker_can_be_stopped(rabbit_bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = rabbit_bench.mounted.settings["broker"]
        rabbit_bench.mounted.settings["broker"] = {**broker, "port": silent.getsockname()[1]}
        workers = [rabbit_bench.shipped(pool) for pool in CHART_POOLS]
        for worker in workers:
            wait_until(lambda: "Cannot connect" in worker.log.read_text(), service=worker)  # noqa: B023
        assert exits(*workers, within_seconds=PROMPT_SECONDS) == [0, 0]


@pytest.mark.parametrize("end", ["pause", "stop"])
def test_a_broker_that_goes_away_with_the_signal_does_not_hold_a_worker(
    rabbitmq: Container, rabbit_bench: Bench, end: str
) -> None:
    rabbit_bench.mounted.settings["config"] = {"worker_send_task_events": True}
    workers = [rabbit_bench.shipped(pool) for pool in CHART_POOLS for _ in range(2)]
    ready(*workers)
    producer = rabbit_bench.producer()
    # Two slots each, so three of them work, or all; one of each pool at least.
    for _ in range(5):
        producer.send_task("journal.work", [3])
    rabbit_bench.journal.wait("begun", count=5)
    getattr(rabbitmq, end)()
    try:
        assert exits(*workers, within_seconds=SILENT_SECONDS) == [0] * 4
    finally:
        {"pause": rabbitmq.resume, "stop": rabbitmq.start}[end]()
    assert len(rabbit_bench.journal.entries("done")) == 5
    if end == "stop":
        assert not any("cannot end by itself" in worker.log.read_text() for worker in workers)


def test_a_redis_that_falls_silent_with_the_signal_does_not_hold_a_worker(
    running: Servers, redis_bench: Bench
) -> None:
    server = running["redis"]
    password = quote(server.secrets["broker/password"], safe="")
    url = f"redis://:{password}@127.0.0.1:{server.settings['port']}/0"
    redis_bench.mounted.settings["config"]["broker_url"] = url
    workers = [redis_bench.shipped(pool) for pool in CHART_POOLS]
    ready(*workers)
    server.pause()
    try:
        assert exits(*workers, within_seconds=SILENT_SECONDS) == [0, 0]
    finally:
        server.resume()


@both_pools
def test_tasks_with_a_countdown_that_a_worker_holds_go_back_to_redis(
    redis_bench: Bench, pool: str
) -> None:
    worker = redis_bench.shipped(pool)
    ready(worker)
    producer = redis_bench.producer()
    for _ in range(5):
        producer.send_task("journal.work", countdown=3600)
    with Redis.from_url(redis_bench.url) as store:
        wait_until(lambda: store.hlen("unacked") == 5)
        assert redis_bench.depth() == 0
        assert exits(worker, within_seconds=PROMPT_SECONDS) == [0]
        assert redis_bench.depth() == 5
        assert store.hlen("unacked") == 0


def test_what_was_fetched_and_not_begun_goes_back(rabbit_bench: Bench) -> None:
    assert_only_what_runs_is_finished(rabbit_bench)


def test_what_was_fetched_and_not_begun_goes_back_to_redis(redis_bench: Bench) -> None:
    # As shipped, nothing is fetched on Redis that cannot begin.
    redis_bench.mounted.settings["config"]["worker_disable_prefetch"] = False
    assert_only_what_runs_is_finished(redis_bench)


def assert_only_what_runs_is_finished(bench: Bench) -> None:
    bench.mounted.settings.setdefault("config", {})["worker_prefetch_multiplier"] = 4
    worker = bench.shipped("prefork", "--concurrency=1")
    ready(worker)
    producer = bench.producer()
    for _ in range(4):
        producer.send_task("journal.work", [2])
    wait_until(lambda: bench.depth() == 0)
    bench.journal.wait("begun")
    assert exits(worker, within_seconds=2 + PROMPT_SECONDS) == [0]
    assert len(bench.journal.entries("begun")) == len(bench.journal.entries("done")) == 1
    assert bench.depth() == 3
