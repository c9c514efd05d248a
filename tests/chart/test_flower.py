"""Flower: what the chart runs, really run against a Redis of the machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest
from celery import Celery

from tests.runtime.conftest import (
    Mounted,
    Start,
    _logging_as_it_was,
    _memory_broker_without_memory,
    _plain_environment,
    celery,
    document,
    free_port,
    mounted,
    producer,
    reachable,
    redis_url,
    worker,
)
from tests.runtime.flower import LOGIN, Flower, encoded

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Release, Values

__all__ = [
    "_logging_as_it_was",
    "_memory_broker_without_memory",
    "_plain_environment",
    "celery",
    "document",
    "mounted",
    "producer",
    "reachable",
    "redis_url",
    "worker",
]

ON = {"flower": {"enabled": True}}


@pytest.fixture
def flower(
    helm: "Helm",
    minimal: "Values",
    reachable: Mounted,
    celery: Start,
    tmp_path: Path,
) -> Flower:
    """What the chart runs, on another port, where a configuration lies about that has no login."""
    (tmp_path / "flowerconfig.py").write_text("basic_auth = []\n")
    container = helm.template(minimal | ON).workloads["jobs-flower"].container
    assert container["command"] == ["celery"]
    assert container["args"][:2] == ["-A", "celery_runtime.app"]
    port = free_port()
    arguments = [arg.replace("=5555", f"={port}") for arg in container["args"][2:]]
    plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    assert plain.pop("FLOWER_BASIC_AUTH") == "$(FLOWER_USERNAME):$(FLOWER_PASSWORD)"
    del plain["CELERY_APP"]
    return Flower(
        celery(
            *arguments, CELERY_RUNTIME_DIR=str(reachable.path), FLOWER_BASIC_AUTH=LOGIN, **plain
        ),
        port,
    )


@pytest.mark.parametrize("path", ["/", "/tasks", "/broker", "/api/workers", "/api/tasks"])
def test_nothing_is_shown_without_the_login(flower: Flower, path: str) -> None:
    assert flower.ask(path)[0] == 401
    assert flower.ask(path, "flower:guess")[0] == 401
    assert flower.ask(path, LOGIN)[0] == 200


def test_it_shows_a_task_that_has_run(
    flower: Flower, reachable: Mounted, worker: Start, producer: Celery
) -> None:
    reachable.settings["config"]["worker_send_task_events"] = True
    reachable.write()
    worker("prefork").wait_for("ready", 200)
    sent = producer.send_task("tiny.work", (0,), queue="email")
    flower.wait_for("SUCCESS", sent.id)


def test_it_can_be_looked_at_only(flower: Flower) -> None:
    for path in ("/api/worker/shutdown/io@pod-1", "/api/task/send-task/tiny.work"):
        assert flower.ask(path, LOGIN, method="POST")[0] == 403


def test_it_ends_when_it_is_told_to(flower: Flower) -> None:
    assert flower.service.stop() == 0


def test_its_login_is_in_a_secret_alone(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | ON)
    login = release.secret("jobs-flower")
    assert login.keys() == {"username", "password"}
    assert len(login["password"]) == 32
    assert login["password"] not in json.dumps(
        [each for each in release.objects if each["kind"] != "Secret"]
    )
    assert _secrets(release) == {"jobs-flower"}


def test_an_upgrade_keeps_the_login_and_restarts_nothing(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    first = helm.template(minimal | ON)
    cluster.keep(first)
    second = helm.template(minimal | ON, *cluster.options)
    assert second.secret("jobs-flower") == first.secret("jobs-flower")
    assert second.workloads["jobs-flower"].metadata == first.workloads["jobs-flower"].metadata


def test_a_login_of_the_users_is_taken_instead_and_a_new_one_restarts_it(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    values = minimal | {"flower": {"enabled": True, "existingSecret": "own"}}
    release = helm.template(values)
    assert "jobs-flower" not in [each["metadata"]["name"] for each in release.all("Secret")]
    assert _secrets(release) == {"own"}
    seen = []
    for password in ("one", "two"):
        cluster.put("own", {"username": encoded("me"), "password": encoded(password)})
        found = helm.template(values, *cluster.options, "--set=logLevel=info")
        helm.rendered.clear()
        seen.append(found.workloads["jobs-flower"].metadata["annotations"]["checksum/flower"])
    assert seen[0] != seen[1]


@pytest.mark.parametrize("password", ["a:b", "a,b", ""])
def test_a_login_that_flower_would_cut_is_refused(
    helm: "Helm", minimal: "Values", cluster: "Cluster", password: str
) -> None:
    cluster.put("own", {"username": encoded("me"), "password": encoded(password)})
    values = minimal | {"flower": {"enabled": True, "existingSecret": "own"}}
    with pytest.raises(Exception, match='the password in own is missing, or has a ":" or ","'):
        helm.template(values, *cluster.options)


def test_workers_send_the_events_that_it_shows(helm: "Helm", minimal: "Values") -> None:
    on = {"worker_send_task_events": True, "task_send_sent_event": True}
    assert helm.template(minimal | ON).settings["config"] == on
    assert "config" not in helm.template(minimal).settings


def test_one_runs_beside_what_is_confined_like_a_worker(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | ON)
    flower, worker = release.workloads["jobs-flower"], release.workloads["jobs-worker-io"]
    for found in release.objects:
        if found["metadata"]["name"] == "jobs-flower":
            kubernetes_validate.validate(found, "1.34", strict=True)
    assert flower.owner["spec"]["replicas"] == 1
    for key in ("securityContext", "serviceAccountName", "automountServiceAccountToken", "volumes"):
        assert flower.spec[key] == worker.spec[key]
    assert flower.container["securityContext"] == worker.container["securityContext"]
    (port,) = release.one("Service", "jobs-flower")["spec"]["ports"]
    assert port == {"name": "http", "port": 5555, "targetPort": "http"}
    assert "flower" not in json.dumps(helm.template(minimal).objects)


def test_its_placement_resources_and_annotations_are_as_stated(
    helm: "Helm", minimal: "Values"
) -> None:
    stated = {
        "nodeSelector": {"pool": "small"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    }
    more = {"resources": {"limits": {"memory": "1Gi"}}, "podAnnotations": {"example/owner": "shop"}}
    values = minimal | {"flower": {"enabled": True, **stated, **more}}
    flower = helm.template(values).workloads["jobs-flower"]
    assert {key: flower.spec[key] for key in stated} == stated
    assert flower.container["resources"]["limits"] == {"memory": "1Gi"}
    assert flower.metadata["annotations"]["example/owner"] == "shop"


@pytest.mark.parametrize(("values", "stated"), [({}, "True"), ({"readOnly": False}, "False")])
def test_it_only_shows_unless_it_may_do_more(
    helm: "Helm", minimal: "Values", values: dict[str, bool], stated: str
) -> None:
    release = helm.template(minimal | {"flower": {"enabled": True, **values}})
    assert release.workloads["jobs-flower"].args["read-only"] == stated


def test_an_installation_says_how_to_reach_it(helm: "Helm", minimal: "Values") -> None:
    notes = helm.notes(minimal | ON)
    assert "the password in the Secret jobs-flower" in notes
    assert "port-forward service/jobs-flower 5555" in notes
    assert "Flower" not in helm.notes(minimal)


def _secrets(release: "Release") -> set[str]:
    env = release.workloads["jobs-flower"].container["env"]
    return {each["valueFrom"]["secretKeyRef"]["name"] for each in env if "valueFrom" in each}
