"""KEDA's own triggers: the broker is asked by KEDA, and the exporter has no part in it."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import relying_on_keda
from tests.cluster.scaling.test_autoscaling import GROUP, QUEUE, SCALED, WORKER
from tests.cluster.shop import ON_REDIS, Shop, eventually

PODS = 3
#: More than one pod takes at once, in a list that is not named as its queue is.
SEND_MANY = """
from celery_runtime.app import app
for _ in range(100):
    app.send_task("shop.tasks.hold", (20,), queue="email", priority=6)
"""


@pytest.fixture(scope="module", autouse=True)
def _keda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no other test stop KEDA meanwhile."""
    with relying_on_keda(tmp_path_factory):
        yield


@pytest.fixture
def triggered(shop: Shop) -> Iterator[Shop]:
    """Return the shop with a group of three pods at most, which KEDA scales by the queue."""
    limit = f"{WORKER}.autoscaling.maxReplicas={PODS}"
    shop.upgrade(*SCALED, limit, "autoscaling.mode=keda-triggers", "exporter.enabled=false")
    shop.kubectl("wait", "--for=condition=Ready", f"scaledobject/jobs-worker-{GROUP}")
    yield shop
    shop.upgrade()


def test_on_rabbitmq_what_waits_and_what_runs_counts(triggered: Shop) -> None:
    tasks = triggered.hold(QUEUE, count=PODS, seconds=20)
    eventually(
        lambda: len(triggered.worker_pods(GROUP)) == PODS, within_seconds=90, what=f"{PODS} pods"
    )
    triggered.until("succeeded", *tasks, within_seconds=90)
    assert {run["starts"] for run in triggered.tasks(*tasks).values()} == {"1"}


def test_on_redis_messages_of_a_priority_count(shop: Shop) -> None:
    scaled = {
        "autoscaling.mode": "keda-triggers",
        "workers.io.autoscaling": {"minReplicas": 1, "maxReplicas": 2, "queueWaitSeconds": 10},
    }
    with shop.on_redis(scaled):
        shop.kubectl("wait", "--for=condition=Ready", f"scaledobject/{ON_REDIS}-worker-io")
        shop.exec(f"deploy/{ON_REDIS}-worker-io", "python", "-c", SEND_MANY)
        selector = f"app.kubernetes.io/instance={ON_REDIS},celery-worker-group=io"
        eventually(lambda: len(shop.pods(selector)) == 2, within_seconds=90, what="two pods")
