"""The exporter: what it is told, what it may do, and who reaches it."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from celery_exporter.options import DEFAULT_PORT

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Object, Release, Values, Workload

NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
REDIS = NO_RABBITMQ | {"broker": {"kind": "redis"}}
SQS = NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}}
WAIT = {"minReplicas": 1, "maxReplicas": 20, "queueWaitSeconds": 10}
HPA = {"autoscaling": {"mode": "hpa"}, "workerDefaults": {"autoscaling": WAIT}}


@pytest.fixture
def scaled(minimal: "Values") -> "Values":
    """The group io is scaled by KEDA, the group cpu is not."""
    minimal["autoscaling"] = {"mode": "keda"}
    minimal["workers"]["io"]["autoscaling"] = WAIT | {"minReplicas": 0}
    return minimal


def test_one_runs_and_the_old_one_is_gone_before_the_new_one_starts(
    helm: "Helm", minimal: "Values"
) -> None:
    spec = helm.template(minimal).workloads["jobs-exporter"].owner["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_it_is_told_where_workers_are_and_what_was_promised_of_them(
    helm: "Helm", scaled: "Values"
) -> None:
    release = helm.template(scaled)
    groups = _groups(release)
    assert groups["namespace"] == "celery-demo"
    assert groups["groups"] == {
        "io": {
            "queues": ["default", "email"],
            "slots": 100,
            "maxTaskSeconds": 300,
            "autoscaling": {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10},
        },
        "cpu": {"queues": ["thumbnails"], "slots": 2, "maxTaskSeconds": 600},
    }


def test_its_labels_and_port_are_those_of_the_worker_pods_and_of_no_others(
    helm: "Helm", scaled: "Values"
) -> None:
    release = helm.template(scaled)
    groups = _groups(release)
    found = {
        workload.metadata["labels"][groups["groupLabel"]]: workload
        for workload in release.workloads.values()
        if groups["labels"].items() <= workload.metadata["labels"].items()
    }
    assert found.keys() == groups["groups"].keys()
    for worker in found.values():
        assert worker.container["ports"] == [{"name": "health", "containerPort": groups["port"]}]


def test_without_a_mode_groups_are_watched_and_not_scaled(helm: "Helm", scaled: "Values") -> None:
    scaled["autoscaling"] = {"mode": "none"}
    assert "autoscaling" not in _groups(helm.template(scaled))["groups"]["io"]


def test_what_is_mounted_is_what_workers_have_and_the_groups(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal |= NO_RABBITMQ | {
        "broker": {"mode": "existing", "host": "mq", "tls": True, "existingSecret": "login"}
    }
    release = helm.template(minimal)
    exporter, worker = (release.workloads[f"jobs-{name}"] for name in ("exporter", "worker-io"))
    *same, groups = exporter.spec["volumes"][0]["projected"]["sources"]
    assert same == worker.spec["volumes"][0]["projected"]["sources"]
    assert "broker/ca.crt" in json.dumps(same)
    assert groups["configMap"] == {
        "name": "jobs-exporter",
        "items": [{"key": "groups.json", "path": "groups.json"}],
    }
    mount, _ = exporter.container["volumeMounts"]
    assert mount in worker.container["volumeMounts"]


def test_it_may_read_and_patch_pods_of_its_namespace_and_nothing_else(
    helm: "Helm", scaled: "Values"
) -> None:
    release = helm.template(scaled)
    (role,) = release.all("Role")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]}
    ]
    (binding,) = release.all("RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == "jobs-exporter"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "jobs-exporter", "namespace": "celery-demo"}
    ]
    assert not release.all("ClusterRole") + release.all("ClusterRoleBinding")
    assert all("namespace" not in each["metadata"] for each in (role, binding))


def test_its_pod_alone_has_its_account_and_a_token(helm: "Helm", scaled: "Values") -> None:
    for workload in helm.template(scaled).workloads.values():
        ours = workload.name == "jobs-exporter"
        assert workload.spec["automountServiceAccountToken"] is ours
        assert (workload.spec.get("serviceAccountName") == "jobs-exporter") is ours


def test_probes_and_prometheus_ask_where_it_answers(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    container = release.workloads["jobs-exporter"].container
    assert container["ports"] == [{"name": "metrics", "containerPort": DEFAULT_PORT}]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness")}
    assert probes == {
        "startup": {"path": "/live", "port": "metrics"},
        "readiness": {"path": "/ready", "port": "metrics"},
    }
    assert container["livenessProbe"]["httpGet"] == probes["startup"]
    service = release.one("Service", "jobs-exporter")
    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(DEFAULT_PORT),
    }


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ({"autoscaling": {"mode": "none"}}, {"metrics": 9808}),
        ({"autoscaling": {"mode": "keda"}}, {"metrics": 9808, "scaler": 9809}),
        (HPA, {"metrics": 9808, "api": 9810}),
        (HPA | {"autoscaling": {"mode": "cpu"}}, {"metrics": 9808}),
        (
            HPA | {"autoscaling": {"mode": "queue-length", "externalMetricsApi": False}},
            {"metrics": 9808},
        ),
    ],
)
def test_only_ports_that_somebody_asks_are_open(
    helm: "Helm", scaled: "Values", values: "Values", ports: dict[str, int]
) -> None:
    scaled["workers"]["io"]["autoscaling"] = WAIT
    release = helm.template(scaled | values)
    service = release.one("Service", "jobs-exporter")
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    container = release.workloads["jobs-exporter"].container
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports


def test_the_management_api_is_asked_where_it_is_ours(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    url = release.workloads["jobs-exporter"].env["CELERY_EXPORTER_MANAGEMENT_URL"]
    ports = release.one("Service", "jobs-rabbitmq")["spec"]["ports"]
    (port,) = [port["port"] for port in ports if port["name"] == "management"]
    assert url == f"http://jobs-rabbitmq:{port}"
    redis = helm.template(minimal | REDIS).workloads["jobs-exporter"]
    assert "CELERY_EXPORTER_MANAGEMENT_URL" not in redis.env


def test_it_says_its_options_by_its_environment_alone(helm: "Helm", minimal: "Values") -> None:
    minimal |= REDIS | {
        "env": {"SECRET_OF_THE_APP": "x"},
        "envFrom": [{"secretRef": {"name": "s"}}],
    }
    minimal["exporter"] |= {"perWorker": False}
    container = helm.template(minimal).workloads["jobs-exporter"].container
    assert container["env"] == [
        {"name": "CELERY_EXPORTER_TASKS_FROM", "value": "workers"},
        {"name": "CELERY_EXPORTER_PER_WORKER", "value": "false"},
    ]
    assert "envFrom" not in container


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, {"worker_send_task_events": True, "task_send_sent_event": True}),
        (
            {"task_send_sent_event": False},
            {"worker_send_task_events": True, "task_send_sent_event": False},
        ),
    ],
)
def test_events_are_turned_on_where_they_are_counted(
    helm: "Helm", minimal: "Values", stated: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert "config" not in helm.template(minimal).settings
    minimal["exporter"] |= {"tasksFrom": "events"}
    release = helm.template(minimal | {"config": stated})
    assert release.settings["config"] == expected
    assert release.workloads["jobs-exporter"].env["CELERY_EXPORTER_TASKS_FROM"] == "events"


def test_it_can_be_left_out(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | {"exporter": {"enabled": False}})
    assert "exporter" not in json.dumps(release.objects)


def test_it_takes_its_own_place_and_image(helm: "Helm", minimal: "Values") -> None:
    digest = "sha256:" + "0" * 64
    minimal["exporter"] = {
        "image": {"repository": "registry.example:5000/celery-exporter", "digest": digest},
        "nodeSelector": {"pool": "small"},
        "tolerations": [{"operator": "Exists"}],
        "podAnnotations": {"example/owner": "shop"},
    }
    minimal["imagePullSecrets"] = [{"name": "registry"}]
    exporter = helm.template(minimal).workloads["jobs-exporter"]
    assert exporter.container["image"] == f"registry.example:5000/celery-exporter@{digest}"
    assert exporter.spec["imagePullSecrets"] == [{"name": "registry"}]
    assert exporter.spec["nodeSelector"] == {"pool": "small"}
    assert exporter.spec["tolerations"] == [{"operator": "Exists"}]
    assert exporter.metadata["annotations"]["example/owner"] == "shop"


@pytest.mark.parametrize("values", [{}, REDIS], ids=["rabbitmq", "redis"])
def test_beside_plain_workers_it_counts_events_and_asks_nobody(
    helm: "Helm", minimal: "Values", values: "Values"
) -> None:
    release = helm.template(minimal | values | {"runtime": False})
    exporter = release.workloads["jobs-exporter"]
    assert exporter.env["CELERY_EXPORTER_TASKS_FROM"] == "events"
    assert exporter.spec["automountServiceAccountToken"] is False
    assert not release.all("Role") + release.all("RoleBinding")
    sources = exporter.spec["volumes"][0]["projected"]["sources"]
    assert [s["configMap"]["name"] for s in sources if "configMap" in s] == ["jobs-settings"]


@pytest.mark.parametrize("mode", ["keda", "hpa"])
def test_the_certificate_is_for_the_service_and_of_the_authority(
    helm: "Helm", scaled: "Values", mode: str
) -> None:
    scaled["workers"]["io"]["autoscaling"] = WAIT
    scaled["autoscaling"] = {"mode": mode, "tls": {"enabled": True}}
    release = helm.template(scaled)
    tls = release.secret("jobs-exporter-tls")
    certificate = x509.load_pem_x509_certificate(tls["tls.crt"].encode())
    authority = x509.load_pem_x509_certificate(tls["ca.crt"].encode())
    certificate.verify_directly_issued_by(authority)
    key = load_pem_private_key(tls["tls.key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "jobs-exporter.celery-demo",
        "jobs-exporter.celery-demo.svc",
    ]
    _shows(release.workloads["jobs-exporter"], "jobs-exporter-tls", mode)


def test_an_upgrade_keeps_the_certificate_and_restarts_nothing(
    helm: "Helm", scaled: "Values", cluster: "Cluster"
) -> None:
    scaled["autoscaling"] = {"mode": "keda", "tls": {"enabled": True}}
    first = helm.template(scaled)
    cluster.keep(first)
    second = helm.template(scaled, *cluster.options)
    assert second.secret("jobs-exporter-tls") == first.secret("jobs-exporter-tls")
    pods = [release.workloads["jobs-exporter"].metadata for release in (first, second)]
    assert pods[0] == pods[1]


def test_a_secret_that_lost_a_key_gets_another_certificate_and_restarts_the_pod(
    helm: "Helm", scaled: "Values", cluster: "Cluster"
) -> None:
    scaled["autoscaling"] = {"mode": "keda", "tls": {"enabled": True}}
    first = helm.template(scaled)
    held = first.one("Secret", "jobs-exporter-tls")["data"]
    cluster.put("jobs-exporter-tls", {"tls.crt": held["tls.crt"]})
    second = helm.template(scaled, *cluster.options)
    assert second.secret("jobs-exporter-tls").keys() == {"ca.crt", "tls.crt", "tls.key"}
    assert (
        second.secret("jobs-exporter-tls")["tls.crt"]
        != first.secret("jobs-exporter-tls")["tls.crt"]
    )
    assert _checksum(second) != _checksum(first)


def test_a_certificate_of_the_users_is_shown_instead(
    helm: "Helm", scaled: "Values", cluster: "Cluster"
) -> None:
    scaled["autoscaling"] = {"mode": "keda", "tls": {"enabled": True, "existingSecret": "own"}}
    release = helm.template(scaled)
    assert "jobs-exporter-tls" not in json.dumps(release.objects)
    _shows(release.workloads["jobs-exporter"], "own", "keda")
    # A renewed one is noticed by the next upgrade.
    seen = []
    for certificate in ("one", "two"):
        cluster.put("own", {"tls.crt": base64.b64encode(certificate.encode()).decode()})
        seen.append(_checksum(helm.template(scaled, *cluster.options, "--set=logLevel=info")))
        helm.rendered.clear()
    assert seen[0] != seen[1]


def test_the_api_server_verifies_the_certificate_that_the_exporter_shows(
    helm: "Helm", minimal: "Values"
) -> None:
    release = helm.template(minimal | HPA)
    spec = release.one("APIService", "v1beta1.external.metrics.k8s.io")["spec"]
    assert (
        base64.b64decode(spec["caBundle"]).decode() == release.secret("jobs-exporter-tls")["ca.crt"]
    )
    assert "insecureSkipTLSVerify" not in spec
    service = release.one("Service", spec["service"]["name"])
    assert spec["service"]["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert spec["service"]["namespace"] == "celery-demo"
    own = HPA | {"autoscaling": {"mode": "hpa", "tls": {"existingSecret": "own", "ca": "PEM"}}}
    spec = helm.template(minimal | own).one("APIService", "v1beta1.external.metrics.k8s.io")["spec"]
    assert base64.b64decode(spec["caBundle"]) == b"PEM"


def test_only_the_api_reads_how_the_api_server_proves_itself(
    helm: "Helm", minimal: "Values"
) -> None:
    release = helm.template(minimal | HPA)
    (reader,) = [each for each in release.all("RoleBinding") if "namespace" in each["metadata"]]
    assert reader["metadata"]["namespace"] == "kube-system"
    assert reader["metadata"]["name"] == "celery-demo-jobs-exporter"
    assert reader["roleRef"]["name"] == "extension-apiserver-authentication-reader"
    assert reader["subjects"][0]["name"] == "jobs-exporter"
    assert not release.all("ClusterRole") + release.all("ClusterRoleBinding")
    elsewhere = HPA | {"autoscaling": {"mode": "queue-length", "externalMetricsApi": False}}
    release = helm.template(minimal | elsewhere)
    assert not release.all("APIService")
    assert len(release.all("RoleBinding")) == 1


def _groups(release: "Release") -> "Object":
    groups: Object = json.loads(release.one("ConfigMap", "jobs-exporter")["data"]["groups.json"])
    return groups


def _shows(exporter: "Workload", secret: str, mode: str) -> None:
    variable = "CELERY_EXPORTER_{}_TLS_DIR".format({"keda": "SCALER", "hpa": "API"}[mode])
    assert [name for name in exporter.env if name.endswith("_TLS_DIR")] == [variable]
    (mount,) = [m for m in exporter.container["volumeMounts"] if m["name"] == "tls"]
    assert exporter.env[variable] == mount["mountPath"]
    (volume,) = [v for v in exporter.spec["volumes"] if v["name"] == "tls"]
    assert volume["secret"] == {"secretName": secret}


def _checksum(release: "Release") -> str:
    annotations = release.workloads["jobs-exporter"].metadata["annotations"]
    return str(annotations["checksum/exporter"])
