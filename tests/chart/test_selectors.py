"""Whatever is switched on, no two objects select the same pod, and each selects its own.

Kubernetes evicts no pod under two budgets, and HPAs whose selectors overlap scale nothing.
"""

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.conftest import MINIMAL
from tests.chart.test_environments import ENVIRONMENTS

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release, Values

BOUNDS = {"minReplicas": 1, "maxReplicas": 20, "queueWaitSeconds": 10}
CANARY = {"image": {"tag": "2"}}
MODES = ("none", "keda", "keda-triggers", "hpa", "queue-length", "cpu")


def _values(**changes: Any) -> "Values":  # noqa: ANN401
    groups = {
        name: {"queues": ["email"], "autoscaling": BOUNDS, "canary": CANARY}
        # Names that begin and end alike, or as other components do.
        for name in ("io", "io-2", "canary", "beat", "worker")
    }
    return MINIMAL | {"workers": groups} | changes


OPTIONS: dict[str, "Values"] = {
    **{mode: _values(autoscaling={"mode": mode}) for mode in MODES},
    "beat on a volume": _values(beat={"store": "volume"}),
    "plain images": _values(runtime=False),
    "one redis": _values(broker={"kind": "redis"}, rabbitmq={"enabled": False}),
    "other names": _values(fullnameOverride="worker"),
    "labels of all kinds": _values(
        workerDefaults={"podTemplate": {"metadata": {"labels": {"app": "celery"}}}}
    ),
}


@pytest.fixture(params=[*ENVIRONMENTS, *OPTIONS])
def release(helm: "Helm", request: pytest.FixtureRequest) -> "Release":
    """The release of one environment or one set of options."""
    name = str(request.param)
    return helm.template(OPTIONS.get(name, name))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_workload_selects_its_own_pods_alone(release: "Release", kind: str) -> None:
    for owner in release.all(kind):
        assert _pods(release, _labels(owner)) == [_name(owner)]


def test_no_pod_is_under_two_budgets_and_no_budget_over_two_workloads(release: "Release") -> None:
    # The operator's nodes are no pods of the release.
    operated = {found["metadata"]["name"] for found in release.all("RabbitmqCluster")}
    budgets = [
        b for b in release.all("PodDisruptionBudget") if b["metadata"]["name"] not in operated
    ]
    covered = [_pods(release, _labels(budget)) for budget in budgets]
    assert all(len(pods) == 1 for pods in covered)
    assert max(Counter(chain(*covered)).values()) == 1


def test_every_worker_is_under_a_budget_and_no_single_process_is(release: "Release") -> None:
    covered = {
        name for o in release.all("PodDisruptionBudget") for name in _pods(release, _labels(o))
    }
    celery = {
        w.name: w.component
        for w in release.workloads.values()
        if w.metadata["labels"]["app.kubernetes.io/name"] == "celery"
    }
    assert covered & celery.keys() == {name for name, part in celery.items() if part == "worker"}


def test_a_service_leads_to_the_pods_of_one_workload(release: "Release") -> None:
    for service in release.all("Service"):
        assert len(_pods(release, service["spec"]["selector"])) == 1


def test_one_scaler_moves_a_group_and_none_a_canary(release: "Release") -> None:
    scalers = [*release.all("HorizontalPodAutoscaler"), *release.all("ScaledObject")]
    targets = Counter(o["spec"]["scaleTargetRef"]["name"] for o in scalers)
    assert all(count == 1 for count in targets.values())
    unset = {_name(o) for o in release.all("Deployment") if "replicas" not in o["spec"]}
    assert targets.keys() == unset
    assert "jobs-worker-io-canary" not in targets


def test_another_release_selects_none_of_them(helm: "Helm", release: "Release") -> None:
    other = helm.template(MINIMAL, release="jobs-2")
    for owner in (*other.all("Deployment"), *other.all("PodDisruptionBudget")):
        assert not _pods(release, _labels(owner))


def _name(found: "Object") -> str:
    name: str = found["metadata"]["name"]
    return name


def _labels(owner: "Object") -> dict[str, str]:
    selector = owner["spec"]["selector"]
    assert selector.keys() == {"matchLabels"}
    labels: dict[str, str] = selector["matchLabels"]
    return labels


def _pods(release: "Release", labels: dict[str, str]) -> list[str]:
    """The workloads whose pods have all of these labels."""
    return [
        workload.name
        for workload in release.workloads.values()
        if labels.items() <= workload.metadata["labels"].items()
    ]
