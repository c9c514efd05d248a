"""What needs an operator is refused by a cluster that has not got it, before anything is made."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

#: Of every cluster, and never of Helm without one.
CLUSTER = "--api-versions=apiregistration.k8s.io/v1"
BOUNDS = {"autoscaling": {"minReplicas": 0, "maxReplicas": 2, "queueWaitSeconds": 10}}
CASES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"autoscaling": {"mode": mode}},
        "keda.sh/v1alpha1",
        f"autoscaling.mode: {mode}, but this cluster has no keda.sh/v1alpha1. Install KEDA first, "
        "or set none, hpa or cpu",
    )
    for mode in ("keda", "keda-triggers")
] + [
    (
        {"broker": {"mode": "operator"}, "rabbitmq": {"operator": True}},
        "rabbitmq.com/v1beta1",
        "broker.mode: operator, but this cluster has no rabbitmq.com/v1beta1. Install RabbitMQ's "
        "cluster operator first, or set embedded or existing",
    ),
    (
        {"monitoring": {"monitors": {"enabled": True}}},
        "monitoring.coreos.com/v1",
        "monitoring.monitors.enabled: true, but this cluster has no monitoring.coreos.com/v1. "
        "Install prometheus-operator first, or set it to false",
    ),
    (
        {"monitoring": {"alerts": {"enabled": True}}},
        "monitoring.coreos.com/v1",
        "monitoring.alerts.enabled: true, but this cluster has no monitoring.coreos.com/v1.",
    ),
]


@pytest.fixture
def scaled(minimal: "Values") -> "Values":
    """Two groups that may be scaled."""
    minimal["workers"] = {name: group | BOUNDS for name, group in minimal["workers"].items()}
    return minimal


@pytest.mark.parametrize(("changes", "version", "message"), CASES)
def test_it_is_refused_by_a_cluster_without_the_operator(
    helm: "Helm", scaled: "Values", changes: dict[str, Any], version: str, message: str
) -> None:
    assert message in helm.refusal(scaled | changes, CLUSTER)
    assert helm.template(scaled | changes, CLUSTER, f"--api-versions={version}").objects


@pytest.mark.parametrize(("changes", "version", "message"), CASES)
def test_without_a_cluster_it_is_rendered(
    helm: "Helm", scaled: "Values", changes: dict[str, Any], version: str, message: str
) -> None:
    assert version in {found["apiVersion"] for found in helm.template(scaled | changes).objects}, (
        message
    )
