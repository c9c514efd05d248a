"""What is secret is in Secrets, and in nothing else that an installation writes or prints."""

import base64
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from tests.chart.conftest import LOADER, MINIMAL, WORKLOADS, files
from tests.chart.test_environments import ENVIRONMENTS

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object

PASSWORD = "@:/?#%+ é and longer"
#: Keys of a Secret that tell nobody anything.
PUBLIC = ("username", "ca.crt", "tls.crt")
SCALED: dict[str, Any] = {
    "workerDefaults": {"autoscaling": {"minReplicas": 1, "maxReplicas": 9, "queueWaitSeconds": 9}}
}
GENERATED: dict[str, Any] = {"rabbitmq": {}, "redis": {}}
REDIS = {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
FULL_REDIS = {"redis": {"tls": {"enabled": True}, "auth": {"username": "celery"}}}

#: Every source of a secret, and every way to the processes.
CASES: dict[str, dict[str, Any]] = {
    "generated": GENERATED | {"autoscaling": {"mode": "keda", "tls": {"enabled": True}}},
    "generated, triggers": GENERATED | {"autoscaling": {"mode": "keda-triggers"}},
    "generated, api": GENERATED | {"autoscaling": {"mode": "hpa"}},
    "generated, plain": GENERATED | {"runtime": False},
    "generated, events": GENERATED | {"exporter": MINIMAL["exporter"] | {"tasksFrom": "events"}},
    "redis": REDIS | FULL_REDIS | {"autoscaling": {"mode": "keda-triggers"}},
    "redis, plain": REDIS | {"redis": {"auth": {"username": "celery"}}, "runtime": False},
    "flower": GENERATED | {"flower": {"enabled": True}},
    "flower, plain": GENERATED | {"flower": {"enabled": True}, "runtime": False},
    "definitions": GENERATED | {"rabbitmq": {"definitions": {"existingSecret": "definitions"}}},
    "inline": {
        "broker": {"mode": "existing", "host": "mq", "username": "shop", "password": PASSWORD},
        "resultBackend": {"mode": "existing", "host": "cache", "password": f"2 {PASSWORD}"},
        "rabbitmq": {"enabled": False},
        "redis": {"enabled": False},
    },
}


#: RabbitMQ makes its first user from these; rabbitmq.conf, where it looks too, is in a ConfigMap.
RABBITMQ = {"jobs-rabbitmq/rabbitmq"}
#: Celery itself can read a URL from its environment, and from no file.
PLAIN = {
    *("jobs-worker-io/worker", "jobs-worker-cpu/worker"),
    *("jobs-beat/beat", "jobs-test-consumers/consumers"),
}
#: Flower takes its login from its environment or an argument, which whoever lists processes sees.
FLOWER = {"jobs-flower/flower"}
#: The containers that are told a secret by their environment.
TOLD: dict[str, set[str]] = {
    "generated": RABBITMQ,
    "generated, triggers": RABBITMQ,
    "generated, api": RABBITMQ,
    "generated, plain": RABBITMQ | PLAIN,
    "generated, events": RABBITMQ,
    "redis": set(),
    "redis, plain": PLAIN,
    "flower": RABBITMQ | FLOWER,
    "flower, plain": RABBITMQ | PLAIN | FLOWER,
    "definitions": RABBITMQ | {"jobs-rabbitmq/definitions"},
    "inline": set(),
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_of_every_values_file(helm: "Helm", environment: str) -> None:
    _keeps_its_secrets(*_installed(helm, *files(environment)))


@pytest.mark.parametrize("case", CASES)
def test_of_every_option(helm: "Helm", case: str) -> None:
    objects, notes = _installed(helm, values=MINIMAL | SCALED | CASES[case])
    assert len(list(_secrets(objects))) >= 1
    _keeps_its_secrets(objects, notes)


@pytest.mark.parametrize("case", CASES)
def test_no_container_takes_a_secret_from_its_environment_but_those(
    helm: "Helm", case: str
) -> None:
    objects, _ = _installed(helm, values=MINIMAL | SCALED | CASES[case])
    assert TOLD[case] == {
        f"{found['metadata']['name']}/{container['name']}"
        for found in objects
        for container in _containers(found)
        if re.search('"(secretKeyRef|secretRef)"', json.dumps(container))
    }


def _installed(
    helm: "Helm", *options: str, values: dict[str, Any] | None = None
) -> tuple[list["Object"], str]:
    """The objects and the notes of one and the same rendering: another one generates anew."""
    command = ("install", "jobs", "charts/celery", "--dry-run=client", *options)
    manifest, _, notes = helm.run(*command, values=values).partition("\nNOTES:\n")
    text = manifest.partition("\nHOOKS:\n")[2].replace("\nMANIFEST:\n", "\n")
    objects = [o for o in yaml.load_all(text, Loader=LOADER) if isinstance(o, dict)]
    return objects, notes


def _keeps_its_secrets(objects: list["Object"], notes: str) -> None:
    assert len(objects) > 8
    assert "runs as release jobs" in notes
    others = [o for o in objects if o["kind"] != "Secret"]
    told = json.dumps(others, ensure_ascii=False) + notes
    for value in _secrets(objects):
        assert value not in told
        assert quote(value, safe="") not in told
        assert base64.b64encode(value.encode()).decode() not in told


def _containers(found: "Object") -> list["Object"]:
    if found["kind"] not in WORKLOADS:
        return []
    spec = found["spec"] if found["kind"] == "Pod" else found["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def _secrets(objects: list["Object"]) -> Iterator[str]:
    for secret in objects:
        if secret["kind"] == "Secret":
            for key, value in secret["data"].items():
                if key not in PUBLIC:
                    yield base64.b64decode(value).decode()
