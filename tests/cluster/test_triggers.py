"""KEDA's own triggers: the broker is asked by KEDA, and the exporter has no part in it."""

from collections.abc import Iterator

import pytest

from tests.cluster.shop import Shop, eventually
from tests.cluster.test_autoscaling import GROUP, QUEUE, SCALED, WORKER

PODS = 3


@pytest.fixture(scope="module")
def triggered(shop: Shop) -> Iterator[Shop]:
    """Return the shop with a group of three pods at most, which KEDA scales by the queue."""
    limits = (f"{WORKER}.autoscaling.maxReplicas={PODS}", f"{WORKER}.autoscaling.minReplicas=0")
    shop.upgrade(*SCALED, *limits, "autoscaling.mode=keda-triggers", "exporter.enabled=false")
    shop.kubectl("wait", "--for=condition=Ready", f"scaledobject/jobs-worker-{GROUP}")
    yield shop
    shop.upgrade()


def test_what_waits_and_what_runs_keeps_pods(triggered: Shop) -> None:
    _, tasks = triggered.send(
        "--scenario=hold", f"--queue={QUEUE}", f"--count={PODS}", "--seconds=20"
    )
    eventually(lambda: len(_pods(triggered)) == PODS, within_seconds=90, what=f"{PODS} pods")
    eventually(
        lambda: all(triggered.task(task)["state"] == "succeeded" for task in tasks),
        within_seconds=90,
        what="all tasks are done",
    )
    assert {triggered.task(task)["starts"] for task in tasks} == {"1"}


def _pods(shop: Shop) -> list[str]:
    return shop.worker_pods(GROUP)
