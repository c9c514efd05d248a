"""`helm upgrade` to other values: what was there stays, what runs is finished."""

from ci.demo import RELEASE
from tests.cluster.shop import Shop

HOLD_SECONDS = 25


def test_an_upgrade_keeps_credentials_and_running_work(shop: Shop) -> None:
    passwords = [shop.password(secret) for secret in ("rabbitmq", "redis")]
    before = {group: shop.worker_pods(group) for group in ("io", "cpu")}
    tasks = [
        task
        for queue in ("default", "thumbnails")
        for task in shop.send("--scenario=hold", f"--queue={queue}", f"--seconds={HOLD_SECONDS}")[1]
    ]
    shop.until("started", *tasks, within_seconds=30)

    shop.upgrade("config.task_track_started=false")

    assert [shop.password(secret) for secret in ("rabbitmq", "redis")] == passwords
    for group, pods in before.items():
        assert not set(pods) & set(shop.worker_pods(group)), "the new setting reached no new pod"
    shop.until("succeeded", *tasks, within_seconds=90)
    assert [shop.task(task)["starts"] for task in tasks] == ["1", "1"]


def test_an_upgrade_with_the_same_values_restarts_nothing(shop: Shop) -> None:
    shop.upgrade()
    before = shop.pods(f"app.kubernetes.io/instance={RELEASE}")
    shop.upgrade()
    assert shop.pods(f"app.kubernetes.io/instance={RELEASE}") == before
