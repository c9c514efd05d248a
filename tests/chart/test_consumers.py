"""`helm test` asks whether every queue is consumed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values


def test_it_asks_for_each_queue_of_a_running_group_once(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"] |= {
        "more": {"queues": ["email"]},
        "cpu": {"queues": ["thumbnails"], "replicas": 0},
    }
    pod = helm.template(minimal).workloads["jobs-test-consumers"]
    assert pod.container["command"] == ["python", "-m", "celery_runtime.check"]
    assert pod.container["args"] == ["default", "email"]


def test_it_is_a_hook_that_prints_its_log_and_cleans_up(helm: "Helm", minimal: "Values") -> None:
    pod = helm.template(minimal).workloads["jobs-test-consumers"]
    assert pod.metadata["annotations"] == {
        "helm.sh/hook": "test",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        "helm.sh/hook-output-log-policy": "hook-succeeded,hook-failed",
    }
    assert pod.spec["restartPolicy"] == "Never"


def test_it_reads_the_settings_that_workers_read(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    pod, worker = release.workloads["jobs-test-consumers"], release.workloads["jobs-worker-io"]
    assert pod.spec["volumes"] == worker.spec["volumes"]
    assert pod.container["image"] == worker.container["image"]
