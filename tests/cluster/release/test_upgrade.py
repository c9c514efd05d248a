"""`helm upgrade`, to other values and from the chart of before: what runs is finished."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from ci.demo import RELEASE
from ci.paths import ROOT
from tests.cluster.shop import CHART, Shop, eventually, flowing, more

HOLD_SECONDS = 25
#: As many as are sent at once, and as a worker runs at once.
BATCH = 4
EARLIER = "earlier"
VALUES: dict[str, Any] = {
    "app": "shop.celery:app",
    "envFrom": [{"secretRef": {"name": "shop-database"}}],
    "queues": {"default": {}},
    "workers": {
        "main": {
            "pool": "gevent",
            "concurrency": BATCH,
            "queues": ["default"],
            "maxTaskSeconds": 30,
        }
    },
    # Of the images that the cluster has.
    "rabbitmq.image.tag": yaml.safe_load((ROOT / "charts/rabbitmq/values.yaml").read_text())[
        "image"
    ]["tag"],
    "resultBackend": {"mode": "existing", "host": "jobs-redis", "existingSecret": "jobs-redis"},
    "redis.enabled": False,
}
SEND = f"""
from celery_runtime.app import app
for _ in range({BATCH}):
    print(app.send_task("shop.tasks.hold", (2,), queue="default").id)
"""


def test_an_upgrade_keeps_credentials_and_running_work(shop: Shop) -> None:
    secrets = [f"{RELEASE}-{server}" for server in ("rabbitmq", "redis")]
    logins = [shop.secret(name) for name in secrets]
    before = {group: shop.worker_pods(group) for group in ("io", "cpu")}
    tasks = [
        task
        for queue in ("default", "thumbnails")
        for task in shop.hold(queue, seconds=HOLD_SECONDS)
    ]
    shop.until("started", *tasks, within_seconds=30)

    shop.upgrade("config.task_track_started=false")

    assert [shop.secret(name) for name in secrets] == logins
    for group, pods in before.items():
        assert not set(pods) & set(shop.worker_pods(group)), "the new setting reached no new pod"
    shop.until("succeeded", *tasks, within_seconds=90)
    assert [run["starts"] for run in shop.tasks(*tasks).values()] == ["1", "1"]


def test_an_upgrade_with_the_same_values_restarts_nothing(shop: Shop) -> None:
    shop.upgrade()
    before = shop.pods(f"app.kubernetes.io/instance={RELEASE}")
    shop.upgrade()
    assert shop.pods(f"app.kubernetes.io/instance={RELEASE}") == before


def test_the_version_of_before_is_upgraded_under_load(shop: Shop, tmp_path: Path) -> None:
    options = shop.options(VALUES)
    with shop.release(EARLIER, *options, chart=_chart_of_before(tmp_path)):
        with flowing(lambda: _send(shop), every_seconds=6) as sent:
            eventually(lambda: len(sent) > 8, within_seconds=60, what="tasks flow")
            # As the changelog of 0.2.0 says.
            shop.kubectl("delete", "statefulset", f"{EARLIER}-rabbitmq", "--cascade=orphan")
            shop.helm("upgrade", EARLIER, str(CHART), *options, "--wait", "--timeout=3m")
            more(sent)
        shop.until("succeeded", *sent, within_seconds=120)
    # RabbitMQ, a single node, is replaced as well: what a worker was at when its connection went
    # comes again, as nobody could tell that it was done. All else is done once.
    again = [run for run in shop.tasks(*sent).values() if run["starts"] != "1"]
    assert len(again) <= BATCH, again
    shop.kubectl("delete", "pvc,secret", f"--selector=app.kubernetes.io/instance={EARLIER}")


def _chart_of_before(folder: Path) -> Path:
    """Write down the charts as they were before the chart's version was last raised."""
    file = "charts/celery/Chart.yaml"
    now = _version((CHART / "Chart.yaml").read_text())
    commit = "HEAD"
    for older in _git("log", "--format=%H", "--", file).decode().split():
        if _version(_git("show", f"{older}:{file}")) != now:
            break
        commit = f"{older}^"
    subprocess.run(
        ["tar", "--extract", f"--directory={folder}"],
        input=_git("archive", commit, "charts"),
        check=True,
    )
    return folder / "charts" / "celery"


def _version(chart: str | bytes) -> str:
    return str(yaml.safe_load(chart)["version"])


def _git(*arguments: str) -> bytes:
    return subprocess.check_output(["git", "-C", str(ROOT), *arguments])


def _send(shop: Shop) -> list[str]:
    """Send from the pod of beat, which the upgrade replaces, too; returns the tasks' ids."""
    return shop.exec(f"deploy/{EARLIER}-beat", "python", "-c", SEND).split()
