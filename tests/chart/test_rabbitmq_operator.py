"""RabbitMQ run by its cluster operator: the same as the chart's own, from the same values."""

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart import rabbitmqcluster

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Object, Release, Values

OPERATOR = {"broker": {"mode": "operator"}}
RABBITMQ: dict[str, Any] = {
    "operator": True,
    "replicas": 3,
    "image": {"repository": "registry.example/rabbitmq", "tag": "4.3-management"},
    "imagePullSecrets": [{"name": "registry"}],
    "storage": {"size": "20Gi", "className": "fast"},
    "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}},
    "tls": {"enabled": True},
    "tolerations": [{"key": "broker", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"example.com/team": "shop"},
}


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_the_object_fits_what_the_operator_takes(
    helm: "Helm", minimal: "Values", replicas: int
) -> None:
    found = _cluster(_release(helm, minimal, RABBITMQ | {"replicas": replicas}))
    rabbitmqcluster.validate(found)
    assert found["spec"]["replicas"] == replicas


def test_every_value_reaches_it(helm: "Helm", minimal: "Values") -> None:
    found = _cluster(_release(helm, minimal, RABBITMQ))
    assert found["metadata"]["annotations"] == {"example.com/team": "shop"}
    spec = found["spec"]
    assert spec["image"] == "registry.example/rabbitmq:4.3-management"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["persistence"] == {"storage": "20Gi", "storageClassName": "fast"}
    assert spec["resources"]["limits"] == {"memory": "2Gi"}
    assert spec["tolerations"] == RABBITMQ["tolerations"]
    assert spec["affinity"].keys() == {"nodeAffinity", "podAntiAffinity"}
    assert spec["tls"] == {"secretName": "jobs-rabbitmq-tls", "disableNonTLSListeners": True}


@pytest.mark.parametrize("replicas", [1, 3])
def test_its_configuration_is_that_of_the_charts_own(
    helm: "Helm", minimal: "Values", replicas: int
) -> None:
    more = {"channel_max": 512}
    values = {"replicas": replicas, "consumerTimeoutSeconds": 7200, "config": more}
    told = _cluster(_release(helm, minimal, values | {"operator": True}))
    lines = told["spec"]["rabbitmq"]["additionalConfig"].splitlines()
    own = helm.template({**minimal, "rabbitmq": values}).one("ConfigMap", "jobs-rabbitmq")
    own_lines = own["data"]["rabbitmq.conf"].splitlines()
    assert set(lines) < set(own_lines)
    assert "consumer_timeout = 7200000" in lines
    assert lines[-1] == "channel_max = 512"
    # The operator has its own way to find peers, and its own files.
    left = [line for line in own_lines if line not in lines and not line.startswith("#")]
    assert {line.partition(".")[0] for line in left} <= {"log", "cluster_formation"}


def test_nothing_else_makes_a_node(helm: "Helm", minimal: "Values") -> None:
    release = _release(helm, minimal, RABBITMQ)
    named = {o["kind"] for o in release.objects if o["metadata"]["name"] == "jobs-rabbitmq"}
    assert named == {"RabbitmqCluster", "PodDisruptionBudget", "NetworkPolicy"}
    assert "jobs-rabbitmq-nodes" not in {o["metadata"]["name"] for o in release.objects}


def test_clients_take_the_user_that_the_operator_makes(helm: "Helm", minimal: "Values") -> None:
    release = _release(helm, minimal, {"operator": True})
    broker = release.settings["broker"]
    assert (broker["host"], broker["port"], broker["vhost"]) == ("jobs-rabbitmq", 5672, "/")
    for workload in release.celery:
        (volume,) = [v for v in workload.spec["volumes"] if v["name"] == "celery-runtime"]
        (source,) = [
            s["secret"]
            for s in volume["projected"]["sources"]
            if s.get("secret", {}).get("name") == "jobs-rabbitmq-default-user"
        ]
        assert [item["path"] for item in source["items"]] == ["broker/username", "broker/password"]
    exporter = release.workloads["jobs-exporter"]
    assert exporter.env["CELERY_EXPORTER_MANAGEMENT_URL"] == "http://jobs-rabbitmq:15672"


def test_keda_asks_its_management_api_as_that_user(helm: "Helm", minimal: "Values") -> None:
    minimal["autoscaling"] = {"mode": "keda-triggers"}
    minimal["workers"]["io"]["autoscaling"] = {
        "minReplicas": 0,
        "maxReplicas": 3,
        "queueWaitSeconds": 10,
    }
    release = _release(helm, minimal, {})
    (scaler,) = release.all("ScaledObject")
    assert {trigger["metadata"]["host"] for trigger in scaler["spec"]["triggers"]} == {
        "http://jobs-rabbitmq.celery-demo:15672"
    }
    (authentication,) = release.all("TriggerAuthentication")
    assert {(each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]} == {
        ("jobs-rabbitmq-default-user", "username"),
        ("jobs-rabbitmq-default-user", "password"),
    }


def test_an_image_with_celery_alone_takes_that_user_too(helm: "Helm", minimal: "Values") -> None:
    worker = _release(helm, minimal | {"runtime": False}, {}).workloads["jobs-worker-io"]
    assert worker.env["CELERY_BROKER_URL"].endswith("@jobs-rabbitmq:5672/%2F")
    secrets = [entry.get("valueFrom", {}).get("secretKeyRef") for entry in worker.container["env"]]
    assert {"name": "jobs-rabbitmq-default-user", "key": "password"} in secrets


def test_clients_restart_when_that_user_changes_and_only_then(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    checksums = []
    for password in ("first", "first", "second"):
        data = {"username": "dXNlcg==", "password": base64.b64encode(password.encode()).decode()}
        cluster.put("jobs-rabbitmq-default-user", data)
        helm.rendered.clear()
        worker = _release(helm, minimal, {}, *cluster.options).workloads["jobs-worker-io"]
        checksums.append(worker.metadata["annotations"]["checksum/runtime"])
    assert checksums[0] == checksums[1] != checksums[2]


def test_its_pods_are_those_that_may_be_evicted_one_by_one(helm: "Helm", minimal: "Values") -> None:
    release = _release(helm, minimal, RABBITMQ)
    budget = release.one("PodDisruptionBudget", "jobs-rabbitmq")["spec"]
    operators = {
        "app.kubernetes.io/name": "jobs-rabbitmq",
        "app.kubernetes.io/component": "rabbitmq",
    }
    assert (budget["maxUnavailable"], budget["selector"]["matchLabels"]) == (1, operators)
    apart = _cluster(release)["spec"]["affinity"]["podAntiAffinity"]
    for term in apart["preferredDuringSchedulingIgnoredDuringExecution"]:
        assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == operators


def test_the_notes_say_what_pods_wait_for(helm: "Helm", minimal: "Values") -> None:
    assert "operator" not in helm.notes(minimal)
    notes = helm.notes({**minimal, **OPERATOR, "rabbitmq": RABBITMQ})
    assert "has made the Secret jobs-rabbitmq-default-user" in notes
    assert "kubectl -n celery-demo get rabbitmqcluster jobs-rabbitmq" in notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            OPERATOR | {"rabbitmq": {}},
            "rabbitmq.operator: false, but broker.mode is operator. Set rabbitmq.operator to true, "
            "or broker.mode to embedded.",
        ),
        (
            {"rabbitmq": {"operator": True}},
            "rabbitmq.operator: true, but broker.mode is embedded. Set broker.mode to operator, or "
            "rabbitmq.operator to false.",
        ),
        (
            OPERATOR | {"rabbitmq": {"enabled": False}},
            "rabbitmq.enabled: false, but broker.mode is operator. Set rabbitmq.enabled to true, "
            "or broker.mode to existing.",
        ),
        (
            {"broker": {"mode": "operator", "kind": "redis"}, "rabbitmq": {"enabled": False}},
            "broker.mode: operator, but broker.kind is redis; the operator runs RabbitMQ alone. "
            "Use another mode.",
        ),
        (
            {"broker": {"mode": "operator", "host": "mq"}, "rabbitmq": {"operator": True}},
            "broker.host: has no effect while broker.mode is operator. Remove it, or set the mode",
        ),
        (
            OPERATOR | {"rabbitmq": {"operator": True, "auth": {"existingSecret": "login"}}},
            "rabbitmq.auth.existingSecret: the operator makes the user, in the Secret "
            "jobs-rabbitmq-default-user. Remove it.",
        ),
        (
            OPERATOR | {"rabbitmq": {"operator": True, "definitions": {"existingSecret": "d"}}},
            "rabbitmq.definitions.existingSecret: has no effect on the operator's nodes. Remove "
            "it, and use its topology operator.",
        ),
        (
            OPERATOR | {"rabbitmq": {"operator": True, "nodeSelector": {"disk": "ssd"}}},
            "rabbitmq.nodeSelector: the operator has none. Remove it, and use affinity.node",
        ),
        (
            OPERATOR | {"rabbitmq": {"operator": True, "priorityClassName": "broker"}},
            "rabbitmq.priorityClassName: the operator has none. Remove it, and make that class",
        ),
        (
            OPERATOR | {"rabbitmq": {"operator": True, "replicas": 2}},
            "rabbitmq.replicas: 2 stop as soon as one of them does, because one is no majority of",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    helm: "Helm", minimal: "Values", change: dict[str, Any], message: str
) -> None:
    assert message in helm.refusal(minimal | change)


def _release(helm: "Helm", minimal: "Values", rabbitmq: dict[str, Any], *options: str) -> "Release":
    return helm.template(
        {**minimal, **OPERATOR, "rabbitmq": {"operator": True, **rabbitmq}}, *options
    )


def _cluster(release: "Release") -> "Object":
    return release.one("RabbitmqCluster", "jobs-rabbitmq")
