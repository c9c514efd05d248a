"""Children of the pool that are replaced after so many tasks or so much memory."""

import pytest

from tests.runtime.brokers.bench import Bench, exits, ready

SOON_SECONDS = 10
recycled = pytest.mark.parametrize("limit", ["tasks=10", "memory=120000"])


@recycled
def test_children_are_replaced_without_losing_a_task(rabbit_bench: Bench, limit: str) -> None:
    assert_each_is_done_once_by_many_children(rabbit_bench, limit)


@recycled
def test_children_are_replaced_without_losing_a_task_of_redis(
    redis_bench: Bench, limit: str
) -> None:
    assert_each_is_done_once_by_many_children(redis_bench, limit)


def assert_each_is_done_once_by_many_children(bench: Bench, limit: str) -> None:
    kind, _, most = limit.partition("=")
    worker = bench.shipped("prefork", f"--max-{kind}-per-child={most}")
    ready(worker)
    producer = bench.producer()
    tasks = sorted(producer.send_task("journal.grow", [2]).id for _ in range(200))
    bench.journal.wait("done", count=200)
    assert exits(worker, within_seconds=SOON_SECONDS) == [0]
    assert sorted(bench.journal.entries("begun")) == tasks
    assert sorted(bench.journal.entries("done")) == tasks
    assert len(bench.journal.processes()) > 4
    assert bench.depth() == 0
