"""podTemplate: anything of a pod, laid over what the chart makes."""

from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Values

CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
DEPLOYMENTS = {
    "jobs-worker-io": ("workers", "io"),
    "jobs-beat": ("beat",),
    "jobs-exporter": ("exporter",),
    "jobs-flower": ("flower",),
}


def test_everything_else_stays_as_it_was(helm: "Helm", minimal: "Values") -> None:
    minimal["flower"] = {"enabled": True, "existingSecret": "login"}
    before = helm.template(minimal)
    minimal["workerDefaults"] = {"podTemplate": {"metadata": {"labels": {"team": "shop"}}}}
    for path in DEPLOYMENTS.values():
        _stated(minimal, path)["podTemplate"] = {"spec": {"runtimeClassName": "gvisor"}}
    after = helm.template(minimal)
    for name in DEPLOYMENTS:
        workload = after.workloads[name]
        assert workload.spec.pop("runtimeClassName") == "gvisor"
        if workload.component == "worker":
            assert workload.metadata["labels"].pop("team") == "shop"
            assert "team" not in workload.owner["metadata"]["labels"]
        assert workload.owner == before.workloads[name].owner
    assert after.workloads["jobs-worker-cpu"].metadata["labels"]["team"] == "shop"


def test_a_groups_own_is_laid_over_that_of_all(helm: "Helm", minimal: "Values") -> None:
    minimal["workerDefaults"] = {
        "podTemplate": {
            "metadata": {"annotations": {"mesh": "on", "team": "shop"}},
            "spec": {
                "runtimeClassName": "gvisor",
                "dnsConfig": {"searches": ["shop.example"]},
                "volumes": [{"name": "models", "emptyDir": {"sizeLimit": "1Gi"}}],
            },
        }
    }
    minimal["workers"]["io"]["podTemplate"] = {
        "metadata": {"annotations": {"mesh": "off"}},
        "spec": {
            "runtimeClassName": None,
            "dnsConfig": {"searches": ["mail.example"]},
            "volumes": [{"name": "models", "emptyDir": {"medium": "Memory"}}],
        },
    }
    release = helm.template(minimal)
    io, cpu = release.workloads["jobs-worker-io"], release.workloads["jobs-worker-cpu"]
    assert io.metadata["annotations"].items() >= {("mesh", "off"), ("team", "shop")}
    assert "runtimeClassName" not in io.spec
    assert cpu.spec["runtimeClassName"] == "gvisor"
    assert io.spec["dnsConfig"] == {"searches": ["mail.example"]}
    assert _named(io.spec["volumes"])["models"] == {
        "name": "models",
        "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"},
    }
    assert _named(io.spec["volumes"]).keys() == {"celery-runtime", "tmp", "models"}


def test_the_workers_container_is_changed_by_its_name(helm: "Helm", minimal: "Values") -> None:
    plain = helm.template(minimal).workloads["jobs-worker-io"].container
    key = {"secretKeyRef": {"name": "gateway", "key": "token"}}
    _lay(
        minimal,
        {
            "name": "worker",
            "command": ["ddtrace-run", "celery"],
            "env": [{"name": "GATEWAY_TOKEN", "valueFrom": key}],
            "volumeMounts": [
                {"name": "models", "mountPath": "/models"},
                {"name": "tmp", "mountPath": "/var/cache"},
            ],
            "livenessProbe": {"failureThreshold": 12},
            "readinessProbe": None,
            "lifecycle": None,
            "ports": [{"name": "debug", "containerPort": 5678}],
        },
    )
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    assert len(worker.spec["containers"]) == 1
    changed = worker.container
    assert changed["command"] == ["ddtrace-run", "celery"]
    assert changed["args"] == plain["args"]
    assert changed["env"] == [*plain["env"], {"name": "GATEWAY_TOKEN", "valueFrom": key}]
    assert {m["mountPath"]: m["name"] for m in changed["volumeMounts"]} == {
        "/etc/celery-runtime": "celery-runtime",
        "/tmp": "tmp",  # noqa: S108
        "/models": "models",
        "/var/cache": "tmp",
    }
    assert changed["livenessProbe"] == {**plain["livenessProbe"], "failureThreshold": 12}
    assert "readinessProbe" not in changed
    assert [port["name"] for port in changed["ports"]] == ["health", "debug"]


def test_a_sidecar_starts_before_the_worker_and_is_confined_like_it(
    helm: "Helm", minimal: "Values"
) -> None:
    proxy = {
        "name": "proxy",
        "image": "proxy:2",
        "restartPolicy": "Always",
        "securityContext": {"runAsUser": 1000650000},
    }
    minimal["workers"]["io"]["podTemplate"] = {"spec": {"initContainers": [proxy]}}
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    assert worker.spec["initContainers"] == [
        proxy | {"securityContext": {**CONFINED, "runAsUser": 1000650000}}
    ]
    assert [container["name"] for container in worker.spec["containers"]] == ["worker"]


@pytest.mark.parametrize("kind", ["initContainers", "containers"])
def test_a_container_without_an_image_is_one_of_the_workers_own(
    helm: "Helm", minimal: "Values", kind: str
) -> None:
    check: Object = {
        "name": "migrated",
        "command": ["python", "manage.py", "migrate", "--check"],
        "env": [{"name": "ONLY_HERE", "value": "1"}],
    }
    minimal["envFrom"] = [{"secretRef": {"name": "shop-database"}}]
    minimal["workers"]["io"]["podTemplate"] = {"spec": {kind: [check]}}
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    added = _named(worker.spec[kind])["migrated"]
    shared = ("image", "envFrom", "volumeMounts", "securityContext", "resources")
    assert {key: added[key] for key in shared} == {key: worker.container[key] for key in shared}
    assert added["env"] == [*worker.container["env"], *check["env"]]
    assert added["command"] == check["command"]
    assert not added.keys() & {"args", "ports", "livenessProbe", "startupProbe"}


def test_what_is_no_worker_takes_containers_and_mounts_too(helm: "Helm", minimal: "Values") -> None:
    minimal["flower"] = {"enabled": True}
    for name in ("beat", "exporter", "flower"):
        minimal.setdefault(name, {})["podTemplate"] = {
            "spec": {
                "volumes": [{"name": "zones", "configMap": {"name": "zones"}}],
                "containers": [
                    {"name": name, "volumeMounts": [{"name": "zones", "mountPath": "/zones"}]}
                ],
            }
        }
    for name in ("jobs-beat", "jobs-exporter", "jobs-flower"):
        workload = helm.template(minimal).workloads[name]
        assert "zones" in _named(workload.spec["volumes"])
        assert workload.container["volumeMounts"][-1]["mountPath"] == "/zones"


def test_what_comes_out_fits_the_schema_of_kubernetes(helm: "Helm", minimal: "Values") -> None:
    minimal["workerDefaults"] = {
        "podTemplate": {
            "metadata": {"labels": {"team": "shop"}},
            "spec": {
                "securityContext": {"runAsUser": 1000650000},
                "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["mail"]}],
                "initContainers": [{"name": "wait", "command": ["true"]}],
            },
        }
    }
    for found in helm.template(minimal).all("Deployment"):
        kubernetes_validate.validate(found, "1.34", strict=True)


def _lay(values: "Values", container: "Object") -> None:
    values["workers"]["io"]["podTemplate"] = {
        "spec": {"volumes": [{"name": "models", "emptyDir": {}}], "containers": [container]}
    }


def _stated(values: "Values", path: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = values
    for key in path:
        found = found.setdefault(key, {})
    return found


def _named(entries: list["Object"]) -> dict[str, "Object"]:
    return {entry["name"]: entry for entry in entries}
