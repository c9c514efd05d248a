"""Pods that are drained, tried out on another image, and have company."""

from collections.abc import Iterator

import pytest

from tests.cluster.shop import Shop, eventually

HOLD_SECONDS = 20
POD_TEMPLATE = "workers.cpu.podTemplate.spec.initContainers"


@pytest.fixture(scope="module")
def workloads(shop: Shop) -> Iterator[Shop]:
    """The shop with two pods of the group cpu that have company, and a canary of the group io."""
    shop.upgrade(
        "workers.cpu.replicas=2",
        # A container of the worker's own image: with its environment, in a read-only file system.
        f"{POD_TEMPLATE}[0].name=migrated",
        f"{POD_TEMPLATE}[0].command={{django-admin,migrate,--check}}",
        f"{POD_TEMPLATE}[1].name=beside",
        f"{POD_TEMPLATE}[1].command={{sleep,infinity}}",
        f"{POD_TEMPLATE}[1].restartPolicy=Always",
        # The same image by its other name.
        f"workers.io.canary.image.repository=docker.io/library/{shop.target.image.repository}",
    )
    yield shop
    shop.upgrade()


def test_a_canary_takes_its_share_of_the_groups_queue(workloads: Shop) -> None:
    tasks = workloads.hold(count=40, seconds=1)
    assert len(tasks) == 40
    workloads.until("succeeded", *tasks, within_seconds=90)
    assert {run["worker_group"] for run in workloads.tasks(*tasks).values()} == {"io", "io-canary"}


def test_a_drain_takes_one_pod_and_the_next_when_a_new_one_is_ready(workloads: Shop) -> None:
    first, second = workloads.worker_pods("cpu")
    assert workloads.evict(first)
    assert not workloads.evict(second)
    eventually(lambda: workloads.evict(second), within_seconds=90, what="the second pod may go")
    workloads.kubectl("rollout", "status", "deployment/jobs-worker-cpu", "--timeout=90s")


def test_the_only_pod_of_a_group_may_be_drained_and_finishes_its_task(workloads: Shop) -> None:
    (pod,) = workloads.worker_pods("io")
    task = _held_by(workloads, "default", pod)
    assert workloads.evict(pod)
    workloads.until("succeeded", task, within_seconds=90)
    assert workloads.task(task)["starts"] == "1"
    workloads.kubectl("rollout", "status", "deployment/jobs-worker-io", "--timeout=90s")


def test_a_sidecar_stays_until_the_worker_has_finished(workloads: Shop) -> None:
    pod = workloads.worker_pods("cpu")[0]
    task = _held_by(workloads, "thumbnails", pod)
    workloads.kubectl("delete", "pod", pod, "--wait=false")
    eventually(
        lambda: "deletionTimestamp" in workloads.get("pod", pod)["metadata"],
        within_seconds=10,
        what="the pod is told to stop",
    )

    def is_over() -> bool:
        # Of a pod that ends, the status says nothing new until all of it has ended.
        answers = workloads.answers("exec", pod, "--container=beside", "--", "true")
        is_over = workloads.task(task)["state"] != "started"
        assert is_over or answers
        return is_over

    eventually(is_over, within_seconds=60, what="task done")
    assert workloads.task(task)["state"] == "succeeded"
    assert workloads.task(task)["starts"] == "1"


def _held_by(shop: Shop, queue: str, pod: str) -> str:
    """The id of a task that this pod runs."""
    tasks = shop.hold(queue, count=4, seconds=HOLD_SECONDS)
    shop.until("started", *tasks, within_seconds=30)
    held = [task for task, run in shop.tasks(*tasks).items() if run["hostname"].endswith(pod)]
    assert held, "no task came to the pod"
    return held[0]
