"""What is secret is in Secrets, and in nothing else that an installation writes or prints."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from tests.chart.conftest import LOADER, MINIMAL, files
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
    "inline": {
        "broker": {"mode": "existing", "host": "mq", "username": "shop", "password": PASSWORD},
        "resultBackend": {"mode": "existing", "host": "cache", "password": f"2 {PASSWORD}"},
        "rabbitmq": {"enabled": False},
        "redis": {"enabled": False},
    },
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_of_every_values_file(helm: "Helm", environment: str) -> None:
    _keeps_its_secrets(*_installed(helm, *files(environment)))


@pytest.mark.parametrize("case", CASES)
def test_of_every_option(helm: "Helm", case: str) -> None:
    objects, notes = _installed(helm, values=MINIMAL | SCALED | CASES[case])
    assert len(list(_secrets(objects))) >= 1
    _keeps_its_secrets(objects, notes)


def test_no_container_takes_a_secret_from_its_environment(helm: "Helm") -> None:
    for case in ("generated", "redis", "inline"):
        objects, _ = _installed(helm, values=MINIMAL | SCALED | CASES[case])
        taken = [o["metadata"]["name"] for o in objects if "secretKeyRef" in json.dumps(o)]
        # RabbitMQ has no other way to be told of its first user.
        assert taken == (["jobs-rabbitmq"] if case == "generated" else [])


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


def _secrets(objects: list["Object"]) -> Iterator[str]:
    for secret in objects:
        if secret["kind"] == "Secret":
            for key, value in secret["data"].items():
                if key not in PUBLIC:
                    yield base64.b64decode(value).decode()
