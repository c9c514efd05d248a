"""Without KEDA: an HPA scales a group by the metric that the exporter serves through the API."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.cluster.conftest import alone_with_keda
from tests.cluster.scaling.test_autoscaling import GROUP, QUEUE, SCALED, WORKER
from tests.cluster.shop import Shop, eventually

API = "v1beta1.external.metrics.k8s.io"
OPERATOR = ("deployment/keda-operator", "--namespace=keda")
PODS = 4


@pytest.fixture(scope="module")
def without_keda(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return the shop on a cluster whose KEDA stands still and has given the metrics' API away."""
    with alone_with_keda(tmp_path_factory):
        service = shop.get("apiservice", API)
        shop.kubectl("scale", *OPERATOR, "--replicas=0")
        pods = ("--selector=app=keda-operator", "--namespace=keda")
        shop.kubectl("wait", "--for=delete", "pod", *pods)
        shop.kubectl("delete", "apiservice", API)
        yield shop
        shop.apply(_anew(service))
        shop.kubectl("scale", *OPERATOR, "--replicas=1")
        shop.kubectl("rollout", "status", *OPERATOR, "--timeout=120s")
        shop.kubectl("wait", "--for=condition=Available", "apiservice", API, "--timeout=120s")


@pytest.fixture(scope="module")
def scaled(without_keda: Shop) -> Iterator[Shop]:
    """Return the shop with a group of one to four pods, scaled by an HPA."""
    least = [f"workers.{group}.autoscaling.minReplicas=1" for group in ("io", "cpu", GROUP)]
    most = f"{WORKER}.autoscaling.maxReplicas={PODS}"
    without_keda.upgrade(*SCALED, *least, most, "autoscaling.mode=hpa")
    yield without_keda
    # Before the exporter goes: an API that nobody serves keeps namespaces from being deleted.
    without_keda.upgrade("autoscaling.mode=none")


def test_an_hpa_follows_what_the_exporter_wants(scaled: Shop) -> None:
    assert _metric(scaled, "celery_desired_replicas", "group", GROUP) == ["1"]
    # An HPA looks each 15 s: as many pods have to be wanted for longer.
    tasks = scaled.hold(QUEUE, count=140, seconds=2)
    eventually(lambda: len(_pods(scaled)) == PODS, within_seconds=60, what=f"{PODS} pods")
    assert int(_metric(scaled, "rabbitmq_queue_messages_ready", "queue", QUEUE)[0]) > 0
    scaled.until("succeeded", *tasks, within_seconds=120)
    assert {run["starts"] for run in scaled.tasks(*tasks).values()} == {"1"}
    eventually(lambda: len(_pods(scaled)) == 1, within_seconds=120, what="one pod again")


def _pods(shop: Shop) -> list[str]:
    return shop.worker_pods(GROUP)


def _metric(shop: Shop, name: str, label: str, value: str) -> list[str]:
    """What an HPA is told; waits until the API is there."""
    base = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{shop.target.namespace}"
    where = f"{base}/{name}?labelSelector={quote(f'{label}={value}')}"
    eventually(lambda: shop.answers("get", "--raw", where), within_seconds=60, what=where)
    items: list[dict[str, str]] = json.loads(shop.kubectl("get", "--raw", where))["items"]
    return [item["value"] for item in items]


def _anew(found: dict[str, Any]) -> dict[str, Any]:
    """An object as it is written, without what the server has added."""
    kept = {key: found["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
    return {**{key: found[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept}
