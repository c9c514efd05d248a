"""What is to follow a task, while its broker is away, or a worker is killed that was to send it."""

import time
from uuid import uuid4

import pytest
from celery import Signature, chord
from celery.result import AsyncResult

from tests.runtime.brokers.conftest import BROKERS_AND_POOLS, Shop
from tests.runtime.conftest import CHART_POOLS, Mounted

WORK_SECONDS = 3
#: A try at a port that refuses takes kombu 6 s.
AWAY_SECONDS = 10
CLAIM_SECONDS = 8


# The SQS server that stands in is paused: each try would wait for minutes.
@pytest.mark.parametrize(
    ("broker", "pool"),
    [(broker, pool) for broker, pool in BROKERS_AND_POOLS if broker != "sqs"],
    indirect=["broker"],
)
def test_what_follows_a_task_is_sent_though_the_broker_is_away_when_it_ends(
    shop: Shop, pool: str, mounted: Mounted
) -> None:
    mounted.settings["config"] = {"task_publish_retry_policy": {"max_retries": 0}}
    mounted.write()
    service = shop.worker(pool, concurrency=4)
    chained = (mail(shop, "first", WORK_SECONDS) | mail(shop, "second"))()
    linked = AsyncResult(str(uuid4()), app=shop.app)
    called_back = mail(shop, "called back").set(task_id=linked.id)
    single = mail(shop, "single", WORK_SECONDS).apply_async(link=called_back)
    sheet = chord([mail(shop, "part", WORK_SECONDS)] * 2)(mail(shop, "whole"))
    working = [chained.parent, single, *sheet.parent.results]
    for task in working:
        shop.wait_for_runs(task, 1)
    shop.server.stop()
    time.sleep(WORK_SECONDS + AWAY_SECONDS)
    ends = [chained, linked, sheet]
    states = {task.state for task in [*working, *ends]}
    shop.server.start()
    assert "FAILURE" not in states
    assert [end.get(timeout=60) for end in ends] == ["second", "called back", "whole"]
    assert [shop.runs(end) for end in ends] == [1, 1, 1]
    assert service.stop() == 0


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("pool", CHART_POOLS)
def test_a_chord_goes_on_where_whoever_was_to_send_what_follows_is_gone(
    shop: Shop, pool: str
) -> None:
    service = shop.worker(pool)
    sheet = chord([mail(shop, "part", WORK_SECONDS)] * 2)(mail(shop, "whole"))
    # As a killed worker leaves it.
    claim = shop.app.backend.get_key_for_group(sheet.parent.id, ".c")
    shop.app.backend.client.set(claim, "a worker that is gone", ex=CLAIM_SECONDS)
    assert sheet.get(timeout=30) == "whole"
    assert [shop.runs(task) for task in (sheet, *sheet.parent.results)] == [1, 1, 1]
    assert service.stop() == 0


def mail(shop: Shop, to: str, seconds: float = 0) -> Signature:
    return shop.app.signature("shop.send_email", (to, seconds), immutable=True)
