"""A real worker, by its page and by its events."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery

from celery_exporter.fleet.reading import Fleet
from celery_exporter.state.counting import State
from celery_exporter.state.rows import RECEIVED
from celery_runtime.health.histogram import Histogram
from tests.exporter.fleet.conftest import Release
from tests.runtime.conftest import CHART_POOLS, Start, wait_until

Seen = dict[object, object]


def seen(state: State) -> Seen:
    """All that workers tell of tasks; how long they ran and waited is measured at two places."""
    return {
        "rows": {
            (row.name, row.host, row.queue): (row.counts[RECEIVED:], row.failures)
            for row in state.rows.all()
            if row.host
        },
        "totals": state.totals[RECEIVED:],
        "ended": {queue.name: queue.ended for queue in state.queues.values()},
        "running": {queue.name: queue.running for queue in state.queues.values()},
        "runtimes": numbers(state.runtimes),
        "waits": numbers(state.waits),
    }


def numbers(histograms: Mapping[tuple[str, str], Histogram]) -> dict[tuple[str, str], int]:
    return {key: histogram.count for key, histogram in histograms.items()}


def send(producer: Celery) -> None:
    for name in ("work", "work", "fail", "own_request"):
        producer.send_task(f"counted.{name}", queue="default")
    for name in ("work", "refuse"):
        producer.send_task(f"counted.{name}", queue="email")


def listen(connection: Any) -> None:  # noqa: ANN401 # kombu's
    """Take all events that have come."""
    with suppress(TimeoutError):
        while True:
            connection.drain_events(timeout=0.2)


@pytest.mark.parametrize("pool", CHART_POOLS)
def test_a_worker_s_page_tells_what_its_events_tell(
    producer: Celery, worker: Start, fleet: Fleet, release: Release, pool: str
) -> None:
    producer.conf.task_send_sent_event = True
    told, tallied = State(default_queue="default"), State(default_queue="default")
    with producer.connection() as connection:
        receiver = producer.events.Receiver(
            connection, handlers={"*": lambda event: told.apply([event], 1)}
        )
        with receiver.consumer_context(wakeup=False) as (listening, _, _):
            # On Redis only the first look subscribes.
            listen(listening)
            # Before there is a worker: the first event of one that is faster than the event of a
            # sending would be counted in the default queue.
            send(producer)
            listen(listening)
            service = worker(
                pool, "--task-events", app="countedapp:app", CELERY_TASK_SEND_SENT_EVENT="true"
            )
            service.wait_for("ready", 200)
            release.list("pod-1")
            release.answer("pod-1", service.port)

            def both_have_all() -> bool:
                listen(listening)
                tallied.tally(fleet.read(), 1)
                return sum(told.totals[RECEIVED:]) == sum(tallied.totals[RECEIVED:]) == 19

            wait_until(both_have_all, "every task has ended, by both")
    assert seen(tallied) == seen(told)
    assert sum(numbers(tallied.waits).values()) == 6
