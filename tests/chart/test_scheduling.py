"""Where pods go, when they may be taken away, and how long they may take to start."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

SPREAD_KEYS = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_each_group_has_a_budget_of_one_pod_at_a_time(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    budgets = {o["metadata"]["name"]: o["spec"] for o in release.all("PodDisruptionBudget")}
    assert budgets.keys() == {"jobs-worker-io", "jobs-worker-cpu"}
    for name, spec in budgets.items():
        assert spec == {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": release.workloads[name].selector},
        }


def test_a_budget_never_keeps_the_only_pod_of_a_group(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"]["replicas"] = 1
    budget = helm.template(minimal).one("PodDisruptionBudget", "jobs-worker-io")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_a_group_states_its_own_budget_or_none(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"]["podDisruptionBudget"] = {"maxUnavailable": "25%"}
    minimal["workers"]["cpu"]["podDisruptionBudget"] = None
    (budget,) = helm.template(minimal).all("PodDisruptionBudget")
    assert budget["metadata"]["name"] == "jobs-worker-io"
    assert budget["spec"]["maxUnavailable"] == "25%"


def test_no_group_has_a_budget_where_the_defaults_have_none(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["workerDefaults"] = {"podDisruptionBudget": None}
    assert not helm.template(minimal).all("PodDisruptionBudget")


def test_a_group_spreads_over_nodes_and_zones_where_there_are_some(
    helm: "Helm", minimal: "Values"
) -> None:
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    assert worker.spec["topologySpreadConstraints"] == [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": worker.selector},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in SPREAD_KEYS
    ]


def test_a_group_states_other_constraints_or_none(helm: "Helm", minimal: "Values") -> None:
    rack = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    anyone = rack | {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": "celery"}}}
    minimal["workers"]["io"]["topologySpreadConstraints"] = [rack, anyone]
    minimal["workers"]["cpu"]["topologySpreadConstraints"] = []
    release = helm.template(minimal)
    ours, theirs = release.workloads["jobs-worker-io"].spec["topologySpreadConstraints"]
    assert ours["labelSelector"]["matchLabels"]["celery-worker-group"] == "io"
    assert theirs == anyone
    assert "topologySpreadConstraints" not in release.workloads["jobs-worker-cpu"].spec


def test_every_component_has_a_priority_of_its_own(helm: "Helm", minimal: "Values") -> None:
    minimal["workerDefaults"] = {"priorityClassName": "batch"}
    minimal["workers"]["io"]["priorityClassName"] = "mail"
    minimal["beat"] = {"priorityClassName": "clock"}
    minimal["exporter"]["priorityClassName"] = "eyes"
    minimal["flower"] = {"enabled": True, "priorityClassName": "page"}
    minimal["rabbitmq"] = {"priorityClassName": "broker"}
    minimal["redis"] = {"priorityClassName": "results"}
    workloads = helm.template(minimal).workloads
    assert {
        name: workload.spec["priorityClassName"]
        for name, workload in workloads.items()
        if "priorityClassName" in workload.spec
    } == {
        "jobs-worker-io": "mail",
        "jobs-worker-cpu": "batch",
        "jobs-beat": "clock",
        "jobs-exporter": "eyes",
        "jobs-flower": "page",
        "jobs-rabbitmq": "broker",
        "jobs-redis": "results",
    }


@pytest.mark.parametrize(("stated", "seconds"), [(None, 120), (1, 2), (31, 32), (900, 900)])
def test_a_start_may_take_as_long_as_is_stated(
    helm: "Helm", minimal: "Values", stated: int | None, seconds: int
) -> None:
    if stated is not None:
        minimal["workers"]["io"]["startupSeconds"] = stated
        minimal["beat"] = {"startupSeconds": stated}
    for name in ("jobs-worker-io", "jobs-beat"):
        probe = helm.template(minimal).workloads[name].container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] == seconds


@pytest.mark.parametrize(("stated", "seconds"), [(120, 600), (900, 960)])
def test_a_rollout_has_not_failed_while_a_pod_may_still_start(
    helm: "Helm", minimal: "Values", stated: int, seconds: int
) -> None:
    minimal["workers"]["io"]["startupSeconds"] = stated
    minimal["beat"] = {"startupSeconds": stated}
    release = helm.template(minimal)
    for name in ("jobs-worker-io", "jobs-beat"):
        assert release.one("Deployment", name)["spec"]["progressDeadlineSeconds"] == seconds


@pytest.mark.parametrize(("stated", "seconds"), [(120, 300), (305, 310)])
def test_a_start_that_is_asked_by_ping_has_five_minutes_at_least(
    helm: "Helm", minimal: "Values", stated: int, seconds: int
) -> None:
    minimal["workerDefaults"] = {"startupSeconds": stated}
    workload = helm.template(minimal | {"runtime": False}).workloads["jobs-worker-io"]
    probe = workload.container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == seconds
