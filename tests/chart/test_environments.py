"""What holds for every values file that is shipped."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from celery_runtime.settings.configuration import DEFAULT_DIRECTORY, load
from tests.chart.conftest import files

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release

OVERLAYS = ("", "+redis", "+sqs")
ENVIRONMENTS = [base + overlay for base in ("dev", "staging", "production") for overlay in OVERLAYS]
#: What the broker's URL ends in, whatever the password is.
BROKERS = {
    "rabbitmq": "@jobs-rabbitmq:5672/%2F",
    "redis": "@jobs-redis:6379/1",
    "sqs": "sqs://",
}
MINORS = ("1.32", "1.33", "1.34", "1.35")
UNITS = {"": 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}


@pytest.fixture(params=ENVIRONMENTS)
def release(helm: "Helm", request: pytest.FixtureRequest) -> "Release":
    """The release of one environment."""
    return helm.template(str(request.param))


@pytest.fixture
def quick_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each schema once; the package reads all definitions again for every object."""
    monkeypatch.setattr(utils, "schema_contents", SCHEMA_CONTENTS)


SCHEMA_CONTENTS = cache(utils.schema_contents)


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.usefixtures("quick_schemas")
def test_every_object_fits_the_schema_of_the_kubernetes_minor(
    release: "Release", minor: str
) -> None:
    for found in release.objects:
        if not found["apiVersion"].startswith("keda.sh/"):
            assert kubernetes_validate.validate(found, minor, strict=True) == minor


def test_every_pod_satisfies_the_restricted_profile(release: "Release") -> None:
    for workload in release.workloads.values():
        pod = workload.spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {next(k for k in v if k != "name") for v in workload.spec["volumes"]} <= {
            *("configMap", "emptyDir", "projected", "secret")
        }
        for container in _containers(workload.spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True


def test_no_pod_but_the_exporters_holds_a_token_and_none_the_addresses_of_services(
    release: "Release",
) -> None:
    for workload in release.workloads.values():
        assert workload.spec["automountServiceAccountToken"] is (workload.name == "jobs-exporter")
        assert workload.spec["enableServiceLinks"] is False
    for account in release.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


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


def test_selectors_match_their_own_pods_and_no_others(release: "Release") -> None:
    selectors = {w.name: w.selector for w in release.workloads.values() if w.owner["kind"] != "Pod"}
    assert len(selectors) == (6 if _embeds_rabbitmq(release) else 5)
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
        assert labels["helm.sh/chart"].rpartition("-")[2] == "0.1.0"


def test_names_follow_the_release(release: "Release") -> None:
    servers = {"jobs-redis"} | ({"jobs-rabbitmq"} if _embeds_rabbitmq(release) else set())
    assert release.workloads.keys() == servers | {
        *("jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter", "jobs-test-consumers")
    }
    configured = {o["metadata"]["name"] for o in release.all("ConfigMap")}
    assert configured == servers | {"jobs-settings", "jobs-exporter"}


def test_secrets_appear_in_no_object_but_secrets(release: "Release") -> None:
    text = json.dumps([o for o in release.objects if o["kind"] != "Secret"])
    for secret in release.all("Secret"):
        for key, value in release.secret(secret["metadata"]["name"]).items():
            assert key == "username" or value not in text


def test_the_runtime_accepts_what_is_mounted(release: "Release", tmp_path: Path) -> None:
    others = (release.workloads[name] for name in ("jobs-exporter", "jobs-test-consumers"))
    for workload in [*release.celery, *others]:
        folder = tmp_path / workload.name
        _mount(release, workload.spec, folder)
        configuration = load(folder)
        assert configuration is not None
        broker = release.settings["broker"]["kind"]
        assert configuration["broker_url"].endswith(BROKERS[broker])
        assert configuration["result_backend"].endswith("@jobs-redis:6379/0")
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


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_lint_finds_nothing_wrong(helm: "Helm", environment: str) -> None:
    report = helm.run("lint", "charts/celery", *files(environment))
    assert "WARNING" not in report


def test_dev_fits_a_small_machine(helm: "Helm") -> None:
    pods = [w for w in helm.template("dev").workloads.values() if w.component != "test"]
    requests = [_resources(w.spec, "requests") for w in pods]
    assert sum(_quantity(r["cpu"]) for r in requests) <= 0.5
    limits = [_resources(w.spec, "limits") for w in pods]
    assert sum(_quantity(r["memory"]) for r in limits) < 3 * 2**30


def test_dev_retries_charges_quickly_and_reconciles_every_ten_seconds(helm: "Helm") -> None:
    release = helm.template("dev")
    assert release.workloads["jobs-worker-io"].env["CHARGE_RETRY_DELAY_SECONDS"] == "5"
    assert release.settings["beat"]["schedule"]["reconcile"]["every"] == 10


def test_a_package_contains_both_subcharts(helm: "Helm", tmp_path: Path) -> None:
    helm.run("package", "charts/celery", "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("celery-0.1.0.tgz")
    shown = helm.run("show", "chart", str(archive))
    assert "name: celery" in shown
    text = helm.run("template", "jobs", str(archive), "-f", "values/dev.yaml")
    assert "celery/charts/rabbitmq/templates/statefulset.yaml" in text
    assert "celery/charts/redis/templates/statefulset.yaml" in text


def _embeds_rabbitmq(release: "Release") -> bool:
    return bool(release.settings["broker"]["kind"] == "rabbitmq")


def _containers(spec: "Object") -> list["Object"]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _resources(spec: "Object", kind: str) -> dict[str, str]:
    resources: dict[str, str] = spec["containers"][0]["resources"][kind]
    return resources


def _quantity(text: str) -> float:
    number = text.rstrip("mMGi")
    return float(number) * UNITS[text[len(number) :]]


def _mount(release: "Release", spec: "Object", folder: Path) -> None:
    """Lay out the volume as the kubelet does; Secrets of the user's hold made-up values."""
    (volume,) = [v for v in spec["volumes"] if v["name"] == "celery-runtime"]
    ours = {o["metadata"]["name"]: o for o in release.all("Secret")}
    for source in volume["projected"]["sources"]:
        ((kind, reference),) = source.items()
        for item in reference["items"]:
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "configMap":
                text = release.one("ConfigMap", reference["name"])["data"][item["key"]]
            elif reference["name"] in ours:
                text = release.secret(reference["name"])[item["key"]]
            else:
                text = f"{item['key']} of p@ss/w:rd"
            path.write_text(text, encoding="utf-8")
