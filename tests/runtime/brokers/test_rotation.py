"""Redis over a restart that adds a second password, and one that takes the first away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.runtime.brokers.conftest import OpenShop, furnish, keep_results, new_queues
from tests.runtime.brokers.redisservers import RedisProcess, limited_redis, write_user
from tests.runtime.brokers.servers import PASSWORD
from tests.runtime.conftest import CHART_POOLS, Mounted, Start, wait_until

USER = "celery"
RIGHTS = "~* &* +@all -@dangerous +info"
NEW = "the new one"
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that knows the old password."""
    started = limited_redis(tmp_path / "redis", user=USER, rights=RIGHTS)
    started.start()
    yield started
    started.remove()


@pytest.fixture
def old(mounted: Mounted, server: RedisProcess) -> Mounted:
    """Broker and results on it, by the old password."""
    furnish(mounted, server, *new_queues(), visibilityTimeoutSeconds=4)
    mounted.settings["beat"] = {"schedule": {"often": {"task": "shop.send_email", "every": 60}}}
    keep_results(mounted, server)
    return mounted


@pytest.fixture
def new(old: Mounted, tmp_path: Path) -> Mounted:
    """The same by the new password."""
    mounted = Mounted(tmp_path / "new", old.settings)
    mounted.path.mkdir()
    for service in ("broker", "results"):
        mounted.secret(f"{service}/password", NEW)
    mounted.write()
    return mounted


@both_pools
def test_workers_with_either_password_do_all_that_is_sent(
    old: Mounted, new: Mounted, server: RedisProcess, open_shop: OpenShop, pool: str
) -> None:
    shop = open_shop(old, server)
    before, after = shop.worker(pool), shop.start(pool, CELERY_RUNTIME_DIR=str(new.path))
    # Its pod has started, and Redis has not yet been restarted.
    wait_until(lambda: "invalid username-password" in after.log.read_text(), "it is refused")
    assert after.probe("ready") == (503, "waiting for the broker")
    assert after.probe("live")[0] == 200
    sent = [shop.send("send_email", f"{n}", 1) for n in range(4)]
    _restart(server, PASSWORD, NEW)
    after.wait_for("ready", 200)
    sent += [shop.send("send_email", f"{n}", 0.2) for n in range(4, 12)]
    wait_until(lambda: all(result.ready() for result in sent), "all are done", seconds=60)
    assert [result.result for result in sent] == [f"{n}" for n in range(12)]
    assert before.stop() == 0
    _restart(server, NEW)
    producer = open_shop(new, server)
    assert producer.send("send_email", "last").get(timeout=60) == "last"
    assert after.stop() == 0


def test_a_beat_with_the_new_password_waits_until_it_is_valid(
    new: Mounted, server: RedisProcess, beat: Start
) -> None:
    service = beat(CELERY_RUNTIME_DIR=str(new.path))
    wait_until(lambda: "invalid username-password" in service.log.read_text(), "it is refused")
    assert service.probe("live")[0] == 200
    _restart(server, PASSWORD, NEW)
    assert service.wait_for("ready", 200) == "ticking"
    assert service.stop() == 0


def _restart(server: RedisProcess, *passwords: str) -> None:
    server.stop()
    write_user(server.folder, USER, RIGHTS, *passwords)
    place = {key: server.settings[key] for key in ("host", "port", "username")}
    server.client.close()
    server.client = Redis(**place, password=passwords[-1])
    server.start()
