"""KEDA is there: a ScaledObject starts a Deployment, and its metric is served to the HPA."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.shop import Shop, eventually

NAME = "scaled"
WORK = {"keda-test": "work"}
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
TRIGGER = {
    "type": "kubernetes-workload",
    "metadata": {"podSelector": "keda-test=work", "value": "1"},
}
SCALED_OBJECT = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": NAME},
    "spec": {
        "scaleTargetRef": {"name": NAME},
        "minReplicaCount": 0,
        "maxReplicaCount": 1,
        "pollingInterval": 1,
        "triggers": [TRIGGER],
    },
}


@pytest.fixture
def scaled(shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """Make a Deployment of no pods, scaled by the number of pods that are labelled as work."""
    manifests = tmp_path / "manifests.json"
    items = [_deployment(), SCALED_OBJECT]
    manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    shop.kubectl("apply", "--filename", manifests)
    try:
        shop.kubectl("wait", "--for=condition=Ready", f"scaledobject/{NAME}", "--timeout=60s")
        yield shop
    finally:
        shop.kubectl("delete", "--filename", manifests, "--ignore-not-found")
        shop.kubectl("delete", "pod", "work", "--ignore-not-found")


def test_a_scaled_object_starts_a_deployment_when_there_is_work(
    scaled: Shop, tmp_path: Path
) -> None:
    _await_metric(scaled, "0")
    assert scaled.get("deployment", NAME)["spec"]["replicas"] == 0

    work = tmp_path / "work.json"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "work", "labels": WORK}}
    work.write_text(json.dumps(pod | {"spec": _pod_spec()}))
    scaled.kubectl("apply", "--filename", work)

    one = "--for=jsonpath={.status.readyReplicas}=1"
    scaled.kubectl("wait", one, f"deployment/{NAME}", "--timeout=60s")
    _await_metric(scaled, "1")


def _await_metric(shop: Shop, value: str) -> None:
    eventually(lambda: _metric(shop) == value, within_seconds=60, what=f"the metric is {value}")


def _metric(shop: Shop) -> str:
    """Return what the HPA is told, by the API that it asks."""
    name = shop.get("scaledobject", NAME)["status"]["externalMetricNames"][0]
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{shop.target.namespace}/{name}"
    selector = f"labelSelector=scaledobject.keda.sh%2Fname%3D{NAME}"
    (item,) = json.loads(shop.kubectl("get", "--raw", f"{path}?{selector}"))["items"]
    return str(item["value"])


def _deployment() -> dict[str, Any]:
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": _pod_spec()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def _pod_spec() -> dict[str, Any]:
    """Return a pod that does nothing, of an image that is on the node."""
    container = {
        "name": "idle",
        "image": os.environ["PLAIN_IMAGE"],
        "command": ["sleep", "infinity"],
        "securityContext": SECURITY,
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 0}
