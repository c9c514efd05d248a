"""The user that charts/redis makes may do all that Celery, RedBeat and the exporter ask for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_exporter.broker.redis import Redis as QueuesOfRedis
from celery_exporter.events.redis import RedisEvents
from tests.runtime.brokers.conftest import OpenShop, furnish, keep_results, new_queues
from tests.runtime.brokers.redisservers import RedisProcess, limited_redis
from tests.runtime.conftest import CHART_POOLS, Mounted, Start, wait_until
from tests.runtime.coordination.effects import Effects

USERS = Path(__file__).parents[3] / "charts" / "redis" / "templates" / "_users.tpl"
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis whose only user has the rights that stand in the chart."""
    (rights,) = re.findall(r"^user \{\{ \. \}\} on\$hashes (.+)$", USERS.read_text(), re.MULTILINE)
    started = limited_redis(tmp_path / "redis", user="celery", rights=rights)
    started.start()
    yield started
    started.remove()


@pytest.fixture
def limited(mounted: Mounted, server: RedisProcess) -> Mounted:
    """Broker and results on it."""
    furnish(mounted, server, *new_queues(), visibilityTimeoutSeconds=4)
    mounted.settings["config"] = {"worker_send_task_events": True}
    keep_results(mounted, server)
    return mounted


@both_pools
def test_tasks_results_limits_and_answers_of_workers(
    limited: Mounted, server: RedisProcess, open_shop: OpenShop, effects: Effects, pool: str
) -> None:
    shop = open_shop(limited, server)
    service = shop.start(pool, app="sharedapp:app", EFFECTS_URL=effects.url)
    service.wait_for("ready", 200)
    events = RedisEvents(shop.app)
    events.connect()
    order = f"{pool}-{limited.settings['defaultQueue']}"
    assert shop.app.send_task("shared.charge", [order]).get(timeout=20)
    assert shop.app.send_task("shared.send", [order]).get(timeout=20)
    assert len(shop.app.control.ping(timeout=3)) == 1
    wait_until(lambda: events.read(wait_seconds=1), "an event")
    depths = QueuesOfRedis(shop.app).read(list(limited.settings["queues"])).depths
    assert [depth.ready for depth in depths.values()] == [0, 0]
    assert shop.app.control.purge() == 0
    assert service.stop() == 0
    assert "NOPERM" not in service.log.read_text()


def test_the_schedule_and_its_lock(limited: Mounted, beat: Start) -> None:
    limited.settings["beat"] = {"schedule": {"often": {"task": "shop.send_email", "every": 1}}}
    limited.write()
    service = beat()
    service.wait_for_sends(2)
    assert service.stop() == 0
    assert "NOPERM" not in service.log.read_text()
