"""What holds for every values file that is shipped."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from celery_runtime.settings.configuration import DEFAULT_DIRECTORY, load
from tests.chart.conftest import CHART_VERSION, NAMESPACE, ROOT, files
from tests.chart.kubelet import mount

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release

FILES = {file.stem for file in (ROOT / "values").glob("*.yaml")}
BASES = ("dev", "staging", "production")
#: Overlays for each of them; whatever else is there is one for production.
BROKERS = ("redis", "sqs")
ENVIRONMENTS = [
    *(base + overlay for base in BASES for overlay in ("", *(f"+{name}" for name in BROKERS))),
    *(f"production+{overlay}" for overlay in sorted(FILES - {*BASES, *BROKERS})),
]
#: The servers that the chart runs itself.
SERVERS = {
    "sqs": {"jobs-redis"},
    "redis": {"jobs-redis"},
    "operator": {"jobs-redis"},
    "existing": set(),
}
#: What the URLs of broker and results end in, whatever the password is.
PLAIN = ("@jobs-rabbitmq:5672/%2F", "@jobs-redis:6379/0")
URLS = {
    "redis": ("@jobs-redis:6379/1", "@jobs-redis:6379/0"),
    "sqs": ("sqs://", "@jobs-redis:6379/0"),
    "production": ("@jobs-rabbitmq:5671/%2F", "@jobs-redis:6379/0"),
    "operator": ("@jobs-rabbitmq:5671/%2F", "@jobs-redis:6379/0"),
    "argocd": ("@jobs-rabbitmq:5671/%2F", "@jobs-redis:6379/0"),
    "existing": ("@rabbitmq.example.com:5671/%2F", "@redis.example.com:6379/0"),
}
#: Of operators; tests of their own hold these objects against their definitions, but for those of
#: cert-manager, whose definition is nowhere here: of a Certificate it is asked what it is for.
FOREIGN = ("keda.sh", "monitoring.coreos.com", "rabbitmq.com", "cert-manager.io")
README = ROOT / "README.md"
ARGOCD = "production+argocd"
MINORS = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
UNITS = {"": 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """The name of one environment."""
    return str(request.param)


@pytest.fixture
def release(helm: "Helm", environment: str) -> "Release":
    """The release of one environment."""
    return helm.template(environment)


@pytest.fixture
def servers(environment: str) -> set[str]:
    """What the chart runs beside Celery there."""
    return SERVERS.get(environment.rpartition("+")[2], {"jobs-rabbitmq", "jobs-redis"})


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_fits_the_schema_of_the_kubernetes_minor(
    release: "Release", minor: str
) -> None:
    for found in release.objects:
        if not found["apiVersion"].startswith(FOREIGN):
            assert kubernetes_validate.validate(found, minor, strict=True) == minor


def test_no_celery_process_is_process_1_which_a_signal_does_not_end_before_it_is_up(
    release: "Release",
) -> None:
    celery = [
        w for w in release.workloads.values() if w.name not in ("jobs-rabbitmq", "jobs-redis")
    ]
    assert celery
    assert all(workload.spec["shareProcessNamespace"] is True for workload in celery)


def test_every_container_is_bounded_in_memory_and_explains_its_death(release: "Release") -> None:
    for workload in release.workloads.values():
        assert all("memory" in c["resources"]["limits"] for c in _containers(workload.spec))
        assert workload.container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_selectors_match_their_own_pods_and_no_others(
    release: "Release", servers: set[str]
) -> None:
    selectors = {w.name: w.selector for w in release.workloads.values() if w.owner["kind"] != "Pod"}
    assert len(selectors) == 4 + len(servers)
    for owner, selector in selectors.items():
        matched = [
            w.name
            for w in release.workloads.values()
            if selector.items() <= w.metadata["labels"].items()
        ]
        assert matched == [owner]


def test_services_reach_the_pods_of_one_workload_by_ports_that_exist(release: "Release") -> None:
    assert release.all("Service")
    for service in release.all("Service"):
        selector = service["spec"]["selector"].items()
        (workload,) = [
            w for w in release.workloads.values() if selector <= w.metadata["labels"].items()
        ]
        ports = {port["name"] for port in workload.container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_pods_carry_no_label_that_changes_with_the_charts_version(release: "Release") -> None:
    for workload in release.workloads.values():
        if workload.owner["kind"] != "Pod":
            assert "helm.sh/chart" not in workload.metadata["labels"]
            assert "app.kubernetes.io/version" not in workload.metadata["labels"]


def test_objects_carry_the_standard_labels(release: "Release") -> None:
    standard = {"name", "instance", "component", "managed-by", "version"}
    for found in release.objects:
        labels = found["metadata"]["labels"]
        assert {f"app.kubernetes.io/{name}" for name in standard} <= labels.keys()
        assert labels["app.kubernetes.io/instance"] == "jobs"
        assert labels["helm.sh/chart"].rpartition("-")[2] == CHART_VERSION


def test_names_follow_the_release(release: "Release", environment: str, servers: set[str]) -> None:
    assert release.workloads.keys() == servers | {
        *("jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter", "jobs-test-consumers")
    }
    configured = {o["metadata"]["name"] for o in release.all("ConfigMap")}
    boards = {f"jobs-dashboard-{name}" for name in ("overview", "queue", "group", "autoscaling")}
    shown = boards if environment.startswith("production") else set()
    assert configured == servers | {"jobs-settings", "jobs-exporter"} | shown


def test_secrets_appear_in_no_object_but_secrets(release: "Release") -> None:
    text = json.dumps([o for o in release.objects if o["kind"] != "Secret"])
    for secret in release.all("Secret"):
        for key, value in release.secret(secret["metadata"]["name"]).items():
            assert key == "username" or value not in text


def test_the_runtime_accepts_what_is_mounted(
    release: "Release", environment: str, tmp_path: Path
) -> None:
    broker, results = URLS.get(environment.rpartition("+")[2], PLAIN)
    others = (release.workloads[name] for name in ("jobs-exporter", "jobs-test-consumers"))
    for workload in [*release.celery, *others]:
        folder = tmp_path / workload.name
        mount(release, workload.spec, folder)
        configuration = load(folder)
        assert configuration is not None
        assert configuration["broker_url"].endswith(broker)
        assert configuration["result_backend"].endswith(results)
        assert {queue.name for queue in configuration["task_queues"]} == {
            *("default", "email", "thumbnails", "high_priority")
        }
        assert configuration["beat_schedule"]["reconcile"]["task"] == "shop.tasks.reconcile_orders"


def test_the_runtime_volume_is_where_the_runtime_looks(release: "Release") -> None:
    for workload in release.celery:
        mounts = {m["name"]: m for m in workload.container["volumeMounts"]}
        assert mounts["celery-runtime"]["mountPath"] == DEFAULT_DIRECTORY
        assert mounts["celery-runtime"]["readOnly"] is True
        assert mounts["tmp"]["mountPath"] == "/tmp"  # noqa: S108


def test_workers_and_beat_have_the_environment_of_the_shop(release: "Release") -> None:
    for workload in release.celery:
        assert workload.container["envFrom"] == [
            {"secretRef": {"name": "shop-database"}},
            {"configMapRef": {"name": "shop-endpoints"}},
        ]
        assert workload.env["CELERY_APP"] == "shop.celery:app"


def test_lint_finds_nothing_wrong(helm: "Helm", environment: str) -> None:
    report = helm.run("lint", "charts/celery", *files(environment))
    assert "WARNING" not in report


def test_what_cannot_see_the_cluster_renders_the_same_twice(helm: "Helm") -> None:
    once, again = (helm.run("template", "jobs", "charts/celery", *files(ARGOCD)) for _ in range(2))
    assert once == again
    assert "kind: Secret" not in once.splitlines()


def test_certificates_of_cert_manager_are_for_the_names_that_clients_verify(helm: "Helm") -> None:
    release = helm.template(ARGOCD)
    names = {
        o["spec"]["secretName"]: set(o["spec"]["dnsNames"]) for o in release.all("Certificate")
    }
    asked = _asked_by_tls(release)
    assert names.keys() == asked.keys()
    mounted = json.dumps([workload.spec for workload in release.workloads.values()])
    for secret, hosts in asked.items():
        assert f'"secretName": "{secret}"' in mounted
        # By the latter from other namespaces.
        assert hosts | {f"{secret.removesuffix('-tls')}.{NAMESPACE}"} <= names[secret]


def test_readme_lists_every_values_file() -> None:
    listed = re.findall(
        r"^\| (?:\+ )?\[(\w+)\]\(values/\1\.yaml\)", README.read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(FILES)


def test_dev_fits_a_small_machine(helm: "Helm") -> None:
    """By what its first lines say."""
    pods = [w for w in helm.template("dev").workloads.values() if w.component != "test"]
    requests = [_resources(w.spec, "requests") for w in pods]
    assert 0.15 < sum(_quantity(r["cpu"]) for r in requests) <= 0.2
    assert sum(_quantity(r["memory"]) for r in requests) <= 2**30
    limits = [_resources(w.spec, "limits") for w in pods]
    assert sum(_quantity(r["memory"]) for r in limits) < 3 * 2**30


def test_dev_retries_charges_quickly_and_reconciles_every_ten_seconds(helm: "Helm") -> None:
    release = helm.template("dev")
    assert release.workloads["jobs-worker-io"].env["CHARGE_RETRY_DELAY_SECONDS"] == "5"
    assert release.settings["beat"]["schedule"]["reconcile"]["every"] == 10


def _asked_by_tls(release: "Release") -> dict[str, set[str]]:
    """The hosts that clients connect to by TLS, by the Secret of the certificate there."""
    broker, results = (release.settings[section] for section in ("broker", "resultBackend"))
    management = release.workloads["jobs-exporter"].env["CELERY_EXPORTER_MANAGEMENT_URL"]
    triggers = [t for scaled in release.all("ScaledObject") for t in scaled["spec"]["triggers"]]
    return {
        "jobs-rabbitmq-tls": {broker["host"], str(urlsplit(management).hostname)},
        "jobs-redis-tls": {results["host"]},
        "jobs-exporter-tls": {t["metadata"]["scalerAddress"].rpartition(":")[0] for t in triggers},
    }


def _containers(spec: "Object") -> list["Object"]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _resources(spec: "Object", kind: str) -> dict[str, str]:
    resources: dict[str, str] = spec["containers"][0]["resources"][kind]
    return resources


def _quantity(text: str) -> float:
    number = text.rstrip("mMGi")
    return float(number) * UNITS[text[len(number) :]]
