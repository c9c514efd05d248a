"""A chord while the Redis that counts its tasks is away."""

import subprocess
import sys
import time

import pytest
from celery.result import AsyncResult

from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import OpenShop, furnish, new_queues
from tests.runtime.conftest import CHART_POOLS, Mounted, wait_until
from tests.runtime.redisserver import RedisServer

AWAY_SECONDS = 10
#: By a process of its own: who has sent tasks asks Redis for their results until it ends.
SEND = """
from celery import Celery, chord
from celery_runtime import configure
app = Celery("producer")
configure(app)
mail = app.signature("shop.send_email")
sheet = chord([mail.clone((f"part {number}", 0.5)) for number in range(12)])(mail)
print(sheet.id, *(part.id for part in sheet.parent.results))
"""


@pytest.mark.parametrize("pool", CHART_POOLS)
def test_what_a_chord_leads_to_runs_once_though_redis_is_killed_meanwhile(
    pool: str,
    rabbitmq: servers.Container,
    mounted: Mounted,
    frail_redis: RedisServer,
    open_shop: OpenShop,
) -> None:
    frail_redis.start()
    mounted.secret("results/url", f"{frail_redis.url}/0")
    furnish(mounted, rabbitmq, *new_queues())
    shop = open_shop(mounted, rabbitmq)
    service = shop.worker(pool)
    sent = subprocess.check_output([sys.executable, "-c", SEND], text=True).split()
    end, *parts = (AsyncResult(task_id, app=shop.app) for task_id in sent)
    wait_until(lambda: shop.runs(parts[len(parts) // 2]), "half of them have begun")
    frail_redis.kill()
    time.sleep(AWAY_SECONDS)
    assert not shop.runs(end)
    frail_redis.start()
    wait_until(lambda: shop.runs(end), "its end", seconds=60)
    assert service.stop() == 0
    assert [shop.runs(task) for task in (end, *parts)] == [1] * len(sent)
