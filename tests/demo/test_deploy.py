"""The demo's manifests are valid and ask for no more than a restricted namespace gives."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.demo.conftest import DEPLOY

REPOSITORY = Path(__file__).parents[2]


def documents() -> list[dict[str, Any]]:
    """Return all objects of all manifests."""
    files = sorted(DEPLOY.glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def name(document: dict[str, Any]) -> str:
    """Return what a test's id shows of an object."""
    return f"{document['kind']}/{document['metadata']['name']}"


DOCUMENTS = documents()
WORKLOADS = [d for d in DOCUMENTS if d["kind"] in {"Deployment", "StatefulSet", "Job"}]
PODS = [pytest.param(d["spec"]["template"]["spec"], id=name(d)) for d in WORKLOADS]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a pod's containers of both kinds."""
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_an_object_is_valid(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.34", strict=True)


def test_the_objects_are_the_documented_ones() -> None:
    assert {name(document) for document in DOCUMENTS} == {
        "ConfigMap/shop-endpoints",
        "Deployment/shop-gateway",
        "Deployment/shop-smtp",
        "Deployment/shop-web",
        "Job/shop-pipelines",
        "Secret/shop-database",
        "Service/shop-gateway",
        "Service/shop-postgres",
        "Service/shop-smtp",
        "Service/shop-web",
        "StatefulSet/shop-postgres",
    }


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_restricted(pod: dict[str, Any]) -> None:
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


@pytest.mark.parametrize("pod", PODS)
def test_a_container_may_write_to_tmp_and_states_what_it_needs(pod: dict[str, Any]) -> None:
    assert {"name": "tmp", "emptyDir": {}} in pod["volumes"]
    for container in containers(pod):
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("pod", [p for p in PODS if "Job" not in str(p.id)])
def test_a_server_has_probes(pod: dict[str, Any]) -> None:
    (server,) = pod["containers"]
    assert "readinessProbe" in server
    assert {"livenessProbe", "startupProbe"} & server.keys()


@pytest.mark.parametrize("pod", PODS)
def test_only_producers_mount_the_runtimes_settings(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    producer = container["name"] in {"web", "pipelines"}
    assert ("/etc/celery-runtime" in mounts) is producer
    if producer:
        (volume,) = (v for v in pod["volumes"] if v["name"] == "celery-runtime")
        *sources, broker_authority, results_authority = volume["projected"]["sources"]
        assert sources == [
            {"configMap": {"name": "jobs-settings"}},
            {
                "secret": {
                    "name": "jobs-rabbitmq",
                    "items": [
                        {"key": "username", "path": "broker/username"},
                        {"key": "password", "path": "broker/password"},
                    ],
                }
            },
            {
                "secret": {
                    "name": "jobs-redis",
                    "items": [{"key": "password", "path": "results/password"}],
                }
            },
        ]
        # Where the values ask for TLS.
        for part, authority in (("broker", broker_authority), ("results", results_authority)):
            assert authority["secret"]["optional"] is True
            assert authority["secret"]["items"] == [{"key": "ca.crt", "path": f"{part}/ca.crt"}]


def test_images_carry_no_registry_and_the_demos_no_tag() -> None:
    images = {c["image"] for d in WORKLOADS for c in containers(d["spec"]["template"]["spec"])}
    assert images == {"celery-demo", "postgres:17"}


def test_exactly_one_pod_migrates() -> None:
    preparing = [
        name(document)
        for document in WORKLOADS
        for container in containers(document["spec"]["template"]["spec"])
        if "prepare" in container.get("command", [])
    ]
    assert preparing == ["Deployment/shop-web"]


def test_a_service_selects_the_pods_of_its_name() -> None:
    labels = {d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in WORKLOADS}
    for service in (d for d in DOCUMENTS if d["kind"] == "Service"):
        selector = service["spec"]["selector"]
        assert selector.items() <= labels[service["metadata"]["name"]].items()


def test_the_readme_names_every_photograph_of_the_image() -> None:
    dockerfile = (REPOSITORY / "images/demo/Dockerfile").read_text()
    readme = (REPOSITORY / "images/demo/README.md").read_text()
    copied = [Path(word).name for word in dockerfile.split() if "/skimage/data/" in word]
    assert len(copied) == 8
    assert [photo for photo in copied if photo not in readme] == []
