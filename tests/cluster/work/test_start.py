"""Starts that cannot succeed yet, or never: workers wait for the first and explain the second."""

import json
import subprocess
import time
from typing import Any

from tests.cluster.shop import Shop, eventually

WAIT_SECONDS = 30


def test_workers_wait_for_an_absent_broker_without_restarting(shop: Shop) -> None:
    shop.kubectl("scale", "statefulset/jobs-rabbitmq", "--replicas=0")
    shop.kubectl("wait", "--for=delete", "pod/jobs-rabbitmq-0", "--timeout=90s")
    shop.kubectl("delete", "pods", "--selector=app.kubernetes.io/component=worker")

    time.sleep(WAIT_SECONDS)
    statuses = _worker_statuses(shop)
    assert len(statuses) == 2
    assert [(status["ready"], status["restartCount"]) for status in statuses] == [(False, 0)] * 2

    shop.kubectl("scale", "statefulset/jobs-rabbitmq", "--replicas=1")
    eventually(
        lambda: all(status["ready"] for status in _worker_statuses(shop)),
        within_seconds=120,
        what="workers ready after the broker came back",
    )
    assert all(status["restartCount"] == 0 for status in _worker_statuses(shop))
    shop.until("succeeded", *shop.hold("thumbnails", seconds=0.1), within_seconds=30)


def test_helm_test_waits_for_a_release_that_still_starts(shop: Shop) -> None:
    shop.kubectl("delete", "pod", "jobs-rabbitmq-0")
    assert "Succeeded" in shop.helm("test", "jobs")


def test_an_app_that_cannot_be_imported_is_named_in_one_json_line(shop: Shop) -> None:
    deployment = shop.get("deployment", "jobs-worker-io")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "CELERY_APP", "value": "shop.nowhere:app"}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "broken"},
        "spec": deployment["spec"]["template"]["spec"] | {"restartPolicy": "Never"},
    }
    _create(shop, pod)
    shop.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/broken", "--timeout=60s")
    (line,) = shop.kubectl("logs", "broken").splitlines()
    assert "shop.nowhere" in json.loads(line)["message"]
    shop.kubectl("delete", "pod", "broken")


def _worker_statuses(shop: Shop) -> list[dict[str, Any]]:
    pods = shop.all_pods("app.kubernetes.io/component=worker")
    return [
        status
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        for status in pod["status"].get("containerStatuses", [])
    ]


def _create(shop: Shop, manifest: dict[str, Any]) -> None:
    subprocess.run(
        shop.target.kubectl("create", "--filename=-"),
        env=shop.target.env,
        input=json.dumps(manifest),
        text=True,
        check=True,
    )
