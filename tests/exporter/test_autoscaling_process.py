"""The exporter as a process, beside a real Redis, an API of Kubernetes, and KEDA's questions."""

import json
import time
from pathlib import Path

import grpc
import pytest
from celery import Celery

from tests.exporter.conftest import RunningExporter, StartExporter
from tests.exporter.fleet.conftest import kube_api
from tests.exporter.fleet.kubeapi import GROUP_LABEL, LABELS, NAMESPACE, KubeApi
from tests.exporter.scaler.conftest import Keda
from tests.runtime.conftest import Mounted, free_port

__all__ = ["kube_api"]

LIMITS = {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10}


@pytest.fixture
def scaling(
    exporter: StartExporter, reachable: Mounted, kube_api: KubeApi, tmp_path: Path
) -> tuple[RunningExporter, int]:
    """An exporter of one group, and the port of its scaler."""
    io = {"queues": ["email"], "slots": 4, "maxTaskSeconds": 60, "autoscaling": LIMITS}
    document = {
        "namespace": NAMESPACE,
        "labels": LABELS,
        "groupLabel": GROUP_LABEL,
        "port": 8080,
        "groups": {"io": io},
    }
    (reachable.path / "groups.json").write_text(json.dumps(document))
    port = free_port()
    watching = exporter(
        KUBECONFIG=str(kube_api.kubeconfig(tmp_path)), CELERY_EXPORTER_SCALER_PORT=str(port)
    )
    return watching, port


def test_a_first_message_wakes_a_group_within_two_seconds(
    scaling: tuple[RunningExporter, int], producer: Celery
) -> None:
    watching, port = scaling
    watching.wait_for(0, "celery_exporter_scaling_frozen", group="io")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = Keda(channel).stream(group="io")
        assert not next(stream).result
        before = time.monotonic()
        producer.send_task("tiny.work", (0,), queue="email")
        assert next(stream).result
        assert time.monotonic() - before < 2
        assert Keda(channel).value(group="io") == 1
        stream.cancel()
    watching.wait_for(1, "celery_worker_desired_replicas", group="io", reason="backlog")
    # Workers tell what becomes of tasks, and events are not listened to.
    assert watching.value("celery_exporter_up", source="workers") == 1
    assert watching.value("celery_exporter_up", source="events") is None
    # Nor is each question to Kubernetes a line.
    assert "HTTP Request" not in watching.log.read_text()


def test_kubernetes_that_refuses_is_said_and_nothing_is_scaled(
    scaling: tuple[RunningExporter, int], kube_api: KubeApi
) -> None:
    watching, _ = scaling
    watching.wait_for(0, "celery_exporter_scaling_frozen", group="io")
    kube_api.status = 403
    watching.wait_for(0, "celery_exporter_up", source="workers")
    watching.wait_for(1, "celery_exporter_scaling_frozen", group="io")
    assert "verb list on pods" in watching.log.read_text()
