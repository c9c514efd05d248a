"""A rate that real workers of both pools keep together."""

from typing import TYPE_CHECKING

from celery import Celery

from tests.runtime.conftest import CHART_POOLS
from tests.runtime.coordination.effects import DEADLINE_SECONDS, Effects

if TYPE_CHECKING:
    from tests.runtime.conftest import Start

#: As sharedapp declares them.
RATE_PER_SECOND = 4
BURST = 2
MESSAGES = 16
#: From a grant to the run's own clock.
JITTER_SECONDS = 0.1


def test_workers_of_both_pools_share_tokens_and_a_wait_is_no_retry(
    shared: "Start", producer: Celery, effects: Effects
) -> None:
    services = [shared(pool) for pool in CHART_POOLS]
    for service in services:
        service.wait_for("ready", 200)
    sent = [producer.send_task("shared.send", ["to"], queue="default") for _ in range(MESSAGES)]
    assert [result.get(timeout=DEADLINE_SECONDS) for result in sent] == [each.id for each in sent]

    runs = sorted(effects.runs("to"))
    ran = [(run.task_id, run.retries) for run in runs]
    assert sorted(ran) == sorted((result.id, 0) for result in sent)
    for number, run in enumerate(runs):
        earliest = runs[0].at + (number + 1 - BURST) / RATE_PER_SECOND
        assert run.at > earliest - JITTER_SECONDS, number
    tasks = [line for service in services for line in service.lines() if "task_id" in line]
    waits = [line for line in tasks if "No token in smtp. Put back for" in line["message"]]
    # Each is put back once at most: its slot is kept for it.
    assert len({line["task_id"] for line in waits}) == len(waits)
    assert len(waits) >= MESSAGES - BURST - RATE_PER_SECOND * 2
