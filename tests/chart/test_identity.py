"""As whom pods run, what they may do, and from where their images come."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.conftest import NAMESPACE
from tests.chart.restricted import containers, violations
from tests.chart.test_environments import ENVIRONMENTS

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Release, Values

WAIT = {"minReplicas": 1, "maxReplicas": 3, "queueWaitSeconds": 10}
SCALED = {"workerDefaults": {"autoscaling": WAIT}}
#: Beside the values files: what makes other pods, or pods of another shape.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"runtime": False},
    "volume": {"beat": {"store": "volume"}},
    "tls": SCALED | {"autoscaling": {"mode": "keda", "tls": {"enabled": True}}},
    "hpa": SCALED | {"autoscaling": {"mode": "hpa"}},
}
#: Everything that anything in a release may do in Kubernetes.
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]}]
DIGEST = "sha256:" + "0123456789abcdef" * 4
SECRETS = [{"name": "mirror"}]


@pytest.fixture(params=[*ENVIRONMENTS, *VARIANTS])
def release(helm: "Helm", minimal: "Values", request: pytest.FixtureRequest) -> "Release":
    """The release of one environment, or of one variant."""
    variant = VARIANTS.get(request.param)
    return helm.template(request.param if variant is None else minimal | variant)


def test_every_pod_is_let_in_by_the_restricted_profile(release: "Release") -> None:
    for workload in release.workloads.values():
        assert not list(violations(workload.spec)), workload.name


@pytest.mark.parametrize("chart", ["rabbitmq", "redis"])
def test_so_is_the_pod_of_a_subchart_alone(helm: "Helm", chart: str) -> None:
    (workload,) = helm.template({}, chart=chart).workloads.values()
    assert not list(violations(workload.spec))


def test_no_container_can_change_its_image(release: "Release") -> None:
    for workload in release.workloads.values():
        for container in containers(workload.spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_accounts_are_the_charts_own_where_something_may_be_bound_to_them(
    release: "Release",
) -> None:
    accounts = {o["metadata"]["name"] for o in release.all("ServiceAccount")}
    assert accounts == {"jobs-celery", "jobs-exporter"}
    for workload in release.workloads.values():
        expected = {"exporter": "jobs-exporter", "broker": None, "results": None}
        account = expected.get(workload.component, "jobs-celery")
        assert workload.spec.get("serviceAccountName") == account


def test_no_pod_but_the_exporters_holds_a_token_and_none_the_addresses_of_services(
    release: "Release",
) -> None:
    asks_kubernetes = bool(release.all("Role"))
    for workload in release.workloads.values():
        holds = workload.component == "exporter" and asks_kubernetes
        assert workload.spec["automountServiceAccountToken"] is holds
        assert workload.spec["enableServiceLinks"] is False
    for account in release.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_all_that_anybody_may_do_is_to_watch_and_patch_pods_of_the_namespace(
    release: "Release", request: pytest.FixtureRequest
) -> None:
    plain = request.node.callspec.params["release"] == "plain"
    assert [role["rules"] for role in release.all("Role")] == ([] if plain else [RULES])
    assert not release.all("ClusterRole") + release.all("ClusterRoleBinding")
    ours = [b for b in release.all("RoleBinding") if "namespace" not in b["metadata"]]
    elsewhere = [b for b in release.all("RoleBinding") if b not in ours]
    assert [b["roleRef"]["name"] for b in ours] == ([] if plain else ["jobs-exporter"])
    readers = ["extension-apiserver-authentication-reader"] if release.all("APIService") else []
    assert [b["roleRef"]["name"] for b in elsewhere] == readers
    for binding in release.all("RoleBinding"):
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "jobs-exporter", "namespace": NAMESPACE}
        ]


# Images ------------------------------------------------------------------------------------------


def test_every_image_can_be_named_by_its_digest(helm: "Helm", minimal: "Values") -> None:
    digest = {"image": {"digest": DIGEST}}
    minimal["image"] |= digest["image"]
    minimal["exporter"]["image"] |= digest["image"]
    for subchart in ("rabbitmq", "redis"):
        minimal[subchart] |= digest
    release = helm.template(minimal)
    images = {c["image"] for w in release.workloads.values() for c in containers(w.spec)}
    assert images == {
        f"{name}@{DIGEST}" for name in ("shop", "celery-exporter", "rabbitmq", "redis")
    }


def test_globally_named_pull_secrets_are_those_of_every_pod(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["global"] = {"imagePullSecrets": SECRETS}
    for workload in helm.template(minimal).workloads.values():
        assert workload.spec["imagePullSecrets"] == SECRETS


def test_a_charts_own_pull_secrets_are_added_to_them_for_its_pods(
    helm: "Helm", minimal: "Values"
) -> None:
    own = {name: [{"name": f"{name}-team"}, *SECRETS] for name in ("celery", "rabbitmq", "redis")}
    minimal |= {"global": {"imagePullSecrets": SECRETS}, "imagePullSecrets": own["celery"]}
    for subchart in ("rabbitmq", "redis"):
        minimal[subchart] |= {"imagePullSecrets": own[subchart]}
    for workload in helm.template(minimal).workloads.values():
        chart = workload.metadata["labels"]["app.kubernetes.io/name"]
        assert workload.spec["imagePullSecrets"] == own[chart]


@pytest.mark.parametrize("chart", ["rabbitmq", "redis"])
def test_a_subchart_alone_takes_pull_secrets_and_a_digest(helm: "Helm", chart: str) -> None:
    values = {"imagePullSecrets": SECRETS, "image": {"digest": DIGEST}}
    (workload,) = helm.template(values, chart=chart).workloads.values()
    assert workload.spec["imagePullSecrets"] == SECRETS
    assert {c["image"] for c in containers(workload.spec)} == {f"{chart}@{DIGEST}"}


def test_without_any_there_is_no_list_of_them(release: "Release") -> None:
    for workload in release.workloads.values():
        assert "imagePullSecrets" not in workload.spec
