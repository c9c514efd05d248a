"""Redis behind sentinels, for messages, for results and the schedule, and for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_runtime.coordination import store
from tests.runtime.brokers.conftest import VISIBILITY_SECONDS, OpenShop, furnish, new_queues
from tests.runtime.brokers.redisservers import Replicated
from tests.runtime.conftest import CHART_POOLS, Mounted, Start, wait_until
from tests.runtime.coordination.effects import Effects

both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    """A master, its replica and three sentinels."""
    started = Replicated(tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.remove()


@both_pools
def test_a_worker_goes_on_with_the_replica_that_sentinels_promote(
    replicated: Replicated, mounted: Mounted, redis_url: str, open_shop: OpenShop, pool: str
) -> None:
    mounted.secret("results/url", f"{redis_url}/0")
    furnish(mounted, replicated, *new_queues(), visibilityTimeoutSeconds=VISIBILITY_SECONDS)
    shop = open_shop(mounted, replicated)
    service = shop.start(pool)
    service.wait_for("ready", 200)
    running = shop.send("send_email", "running", 5)
    shop.wait_for_runs(running, 1)
    before = [shop.send("send_email", f"before {n}", 1) for n in range(4)]
    replicated.replicated()
    replicated.stop()
    after = [shop.send("send_email", f"after {n}") for n in range(20)]
    assert running.get(timeout=60) == "running"
    assert [result.get(timeout=60) for result in before] == [f"before {n}" for n in range(4)]
    assert [result.get(timeout=60) for result in after] == [f"after {n}" for n in range(20)]
    service.wait_for("ready", 200)
    assert service.stop() == 0


@pytest.fixture
def behind(replicated: Replicated, mounted: Mounted) -> Mounted:
    """Messages, results and the schedule, all behind the sentinels."""
    furnish(mounted, replicated, *new_queues(), visibilityTimeoutSeconds=VISIBILITY_SECONDS)
    mounted.settings["resultBackend"] = {**replicated.settings, "database": 2}
    for name, value in replicated.secrets.items():
        mounted.secret(name.replace("broker/", "results/"), value)
    mounted.write()
    return mounted


@both_pools
def test_results_and_what_is_done_once_are_kept_by_the_replica_that_is_promoted(
    replicated: Replicated, behind: Mounted, open_shop: OpenShop, effects: Effects, pool: str
) -> None:
    shop = open_shop(behind, replicated)
    service = shop.start(pool, app="sharedapp:app", EFFECTS_URL=effects.url)
    service.wait_for("ready", 200)
    before = [shop.app.send_task("shared.charge", [f"{pool} {n}"]) for n in range(3)]
    kept = [result.get(timeout=20) for result in before]
    replicated.replicated()
    replicated.stop()
    again = [shop.app.send_task("shared.charge", [f"{pool} {n}"]) for n in range(3)]
    # Not by `get`: what is published while its client goes over to the new master is not heard.
    wait_until(lambda: all(result.ready() for result in again), "all are done", seconds=60)
    assert [result.result for result in again] == kept
    assert [len(effects.runs(f"{pool} {n}")) for n in range(3)] == [1, 1, 1]
    assert service.stop() == 0


def test_the_schedule_goes_on_with_the_replica_that_is_promoted(
    replicated: Replicated, behind: Mounted, open_shop: OpenShop, beat: Start
) -> None:
    behind.settings["beat"] = {"schedule": {"often": {"task": "shop.send_email", "every": 1}}}
    behind.write()
    service = beat()
    service.wait_for_sends(2)
    replicated.replicated()
    replicated.stop()
    sent = len(service.sends())
    wait_until(lambda: len(service.sends()) >= sent + 3, "beat sends again", seconds=60)
    assert service.wait_for("ready", 200) == "ticking"
    assert store.of(open_shop(behind, replicated).app).redis.exists("redbeat::lock")
    assert service.stop() == 0
