"""Workers come when there is work, keep what they run, and go when there is none."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.cluster.shop import Shop, eventually

GROUP = "burst"
#: Taken from the group io: the shop's web server knows it already.
QUEUE = "email"
SELECTOR = f"celery-worker-group={GROUP}"
#: The burst, a minute for which it counts as a rate, the HPA's window, and two of its periods.
LONG_TASK_SECONDS = 150
#: What may pass beside the start of a pod.
PROMISED_OVERHEAD_SECONDS = 2
#: The HPA's window, and one of its periods.
SCALE_IN_SECONDS = 50
WORKER = f"workers.{GROUP}"
SCALED = (
    "workers.io.queues={default,high_priority}",
    f"{WORKER}.pool=gevent",
    f"{WORKER}.concurrency=1",
    f"{WORKER}.queues={{{QUEUE}}}",
    f"{WORKER}.maxTaskSeconds=180",
    f"{WORKER}.resources.requests.cpu=10m",
    f"{WORKER}.resources.requests.memory=64Mi",
    f"{WORKER}.autoscaling.minReplicas=0",
    f"{WORKER}.autoscaling.maxReplicas=10",
    # So long that a burst may wait for a pod that starts slowly: nothing is kept in reserve.
    f"{WORKER}.autoscaling.queueWaitSeconds=60",
)


@pytest.fixture(scope="module")
def scaled(shop: Shop) -> Iterator[Shop]:
    """Return the shop with a group of ten pods at most, which the exporter scales; now at zero."""
    shop.upgrade(*SCALED, "autoscaling.mode=keda")
    _until_there_are_none(shop)
    yield shop
    shop.upgrade()


def test_a_first_message_starts_a_pod_at_once(scaled: Shop) -> None:
    # It runs until the next test has sent its own: the group does not go back to zero meanwhile.
    (task,) = scaled.hold(QUEUE, seconds=30)
    scaled.until("started", task, within_seconds=60)
    (pod,) = _busy(scaled, [task])
    scaled.kubectl("wait", "--for=condition=Ready", "pod", pod)
    assert _wait_seconds(scaled, task) - _start_seconds(scaled, pod) <= PROMISED_OVERHEAD_SECONDS


def test_idle_pods_go_first_and_busy_ones_finish_what_they_run(scaled: Shop) -> None:
    long = scaled.hold(QUEUE, count=3, seconds=LONG_TASK_SECONDS)
    short = scaled.hold(QUEUE, count=40, seconds=4)
    eventually(lambda: len(_pods(scaled)) == 10, within_seconds=60, what="ten pods")
    scaled.until("started", *long, within_seconds=60)
    fewest = 10
    while _busy(scaled, long):
        left = _pods(scaled)
        busy = _busy(scaled, long)
        assert busy <= left
        # The pod of the first to end may go before the others have ended.
        if len(busy) == len(long):
            fewest = min(fewest, len(left))
        time.sleep(1)
    assert fewest == 3
    scaled.until("succeeded", *long, *short, within_seconds=LONG_TASK_SECONDS + 60)
    assert {run["starts"] for run in scaled.tasks(*long, *short).values()} == {"1"}
    _until_there_are_none(scaled)


def test_no_pod_goes_while_the_exporter_is_away_that_speaks_tls(scaled: Shop) -> None:
    scaled.upgrade(*SCALED, "autoscaling.mode=keda", "autoscaling.tls.enabled=true")
    tasks = scaled.hold(QUEUE, count=6, seconds=10)
    eventually(lambda: len(_pods(scaled)) >= 2, within_seconds=60, what="two pods")
    before = _pods(scaled)
    try:
        scaled.kubectl("scale", "deployment/jobs-exporter", "--replicas=0")
        scaled.until("succeeded", *tasks, within_seconds=90)
        idle_until = time.monotonic() + SCALE_IN_SECONDS
        while time.monotonic() < idle_until:
            assert before <= _pods(scaled)
            time.sleep(1)
    finally:
        scaled.kubectl("scale", "deployment/jobs-exporter", "--replicas=1")
    _until_there_are_none(scaled)


def _pods(shop: Shop) -> set[str]:
    return set(shop.worker_pods(GROUP))


def _busy(shop: Shop, tasks: list[str]) -> set[str]:
    """Return the pods that run these tasks."""
    runs = shop.tasks(*tasks).values()
    return {run["hostname"].split("@")[1] for run in runs if run["state"] == "started"}


def _until_there_are_none(shop: Shop) -> None:
    # None that is being deleted, either: it may have taken a message just before.
    eventually(
        lambda: not shop.all_pods(SELECTOR),
        within_seconds=120,
        what="the group is at zero",
    )


def _wait_seconds(shop: Shop, task: str) -> float:
    """From a task's sending to its start, as the ledger has it."""
    waited = "extract(epoch FROM started_at - sent_at)"
    ((seconds,),) = shop.sql(f"SELECT {waited} FROM shop_taskrun WHERE task_id = '{task}'")  # noqa: S608
    return float(seconds)


def _start_seconds(shop: Shop, name: str) -> float:
    """From the creation of a pod until it was ready."""
    pod = shop.get("pod", name)
    (ready,) = (each for each in pod["status"]["conditions"] if each["type"] == "Ready")
    began = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return (datetime.fromisoformat(ready["lastTransitionTime"]) - began).total_seconds()
