"""A pod that stops in mid-task loses nothing."""

import time

import pytest

from ci import cluster
from ci.demo import RELEASE
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop, eventually

GROUPS = [("default", "io"), ("thumbnails", "cpu")]
HOLD_SECONDS = 15
STARTING = 4
RUNS = "{.status.containerStatuses[0].state.running}"
#: Of the group io, by its longest task.
GRACE_SECONDS = 90
#: More than the second that py-amqp gives an acknowledgement, less than the settings do.
CUT_SECONDS = 7
CHAIN = "CUT"


def _start(shop: Shop, queue: str) -> tuple[str, str]:
    """Send a task that holds its worker; returns the task's id and the pod that runs it."""
    (task,) = shop.hold(queue, seconds=HOLD_SECONDS)
    shop.until("started", task, within_seconds=30)
    return task, shop.task(task)["hostname"].split("@")[1]


def _finish(shop: Shop, *tasks: str) -> None:
    shop.until("succeeded", *tasks, within_seconds=120)


@pytest.mark.parametrize(("queue", "group"), GROUPS)
def test_a_deleted_pod_finishes_its_task_first(shop: Shop, queue: str, group: str) -> None:
    task, pod = _start(shop, queue)
    assert pod in shop.worker_pods(group)
    shop.kubectl("delete", "pod", pod, "--wait=false")
    _finish(shop, task)
    assert shop.task(task)["starts"] == "1"
    assert shop.task(task)["hostname"].endswith(pod)
    assert shop.sql(f"SELECT duplicates FROM shop_hold WHERE task_id = '{task}'") == [["0"]]  # noqa: S608


@pytest.mark.parametrize(("queue", "group"), GROUPS)
def test_a_killed_pods_task_is_done_by_another(shop: Shop, queue: str, group: str) -> None:
    task, pod = _start(shop, queue)
    shop.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    _finish(shop, task)
    assert shop.task(task)["starts"] == "2"
    assert not shop.task(task)["hostname"].endswith(pod)
    assert pod not in shop.worker_pods(group)


def test_a_network_that_loses_all_for_seconds_restarts_no_task(shop: Shop) -> None:
    long = shop.hold(count=4, seconds=20)
    short = shop.hold(count=4, seconds=5)
    shop.until("started", *long, *short, within_seconds=30)
    broker = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=rabbitmq"
    nodes = Nodes(cluster.current())
    nodes.fill(
        [
            f"-A {CHAIN} --source {one} --destination {other} -j DROP"
            for worker in shop.addresses("celery-worker-group=io")
            for node in shop.addresses(broker)
            for one, other in ((worker, node), (node, worker))
        ],
        CHAIN,
    )
    with nodes.first(CHAIN):
        time.sleep(CUT_SECONDS)
        # They could not say so.
        shop.until("succeeded", *short, within_seconds=0)
    _finish(shop, *long)
    assert {task["starts"] for task in shop.tasks(*long, *short).values()} == {"1"}


def test_pods_that_are_deleted_as_they_start_go_at_once(shop: Shop) -> None:
    before = shop.worker_pods("io")
    shop.kubectl("scale", "deployment/jobs-worker-io", f"--replicas={len(before) + STARTING}")
    try:
        eventually(
            lambda: len(shop.worker_pods("io")) > len(before), within_seconds=10, what="new pods"
        )
        new = set(shop.worker_pods("io")) - {*before}
        for pod in new:  # Python begins in it, and no worker is up
            shop.kubectl("wait", f"pod/{pod}", f"--for=jsonpath={RUNS}", "--timeout=60s")
            shop.kubectl("delete", "pod", pod, "--wait=false")
        gone = [f"pod/{pod}" for pod in new]
        shop.kubectl("wait", "--for=delete", *gone, f"--timeout={GRACE_SECONDS // 3}s")
    finally:
        shop.kubectl("scale", "deployment/jobs-worker-io", f"--replicas={len(before)}")
