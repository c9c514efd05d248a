"""Definitions of one's own for RabbitMQ, beside the user that the application has."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Workload

VALUES = {"definitions": {"existingSecret": "shop-definitions"}}
GIVEN = "/run/secrets/rabbitmq-definitions"


def test_nodes_import_what_the_pod_has_laid_out(helm: "Helm") -> None:
    release = helm.template(VALUES, chart="rabbitmq", release="mq")
    conf = release.one("ConfigMap", "mq-rabbitmq")["data"]["rabbitmq.conf"]
    assert "load_definitions = /var/lib/rabbitmq/definitions\n" in conf + "\n"
    broker = release.workloads["mq-rabbitmq"]
    homes = [m["mountPath"] for m in broker.container["volumeMounts"] if m["name"] == "home"]
    assert homes == ["/var/lib/rabbitmq"]


def test_they_stay_in_their_secret(helm: "Helm") -> None:
    (volume,) = [v for v in _broker(helm).spec["volumes"] if v["name"] == "definitions"]
    assert volume["secret"] == {
        "secretName": "shop-definitions",
        "items": [{"key": "definitions.json", "path": "definitions.json"}],
    }
    assert {"name": "definitions", "mountPath": GIVEN, "readOnly": True} in _laying(helm)[
        "volumeMounts"
    ]


@pytest.mark.parametrize("password", ["letters", 'p@:/?#%+ &;=[]"\\$HOME`id`', "back\\\\slash\\"])
def test_the_applications_user_is_read_before_them_whatever_its_password_is(
    helm: "Helm", tmp_path: Path, password: str
) -> None:
    given = {"policies": [], "vhosts": [{"name": "shop"}]}
    (tmp_path / "definitions.json").write_text(json.dumps(given))
    folder = tmp_path / "laid out"
    shell, flags, script = _laying(helm)["command"]
    script = script.replace("/var/lib/rabbitmq/definitions", f"'{folder}'")
    script = script.replace(f"{GIVEN}/", f"'{tmp_path}'/")
    env = {"RABBITMQ_DEFAULT_USER": 'ce"lery', "RABBITMQ_DEFAULT_PASS": password}
    subprocess.run([shell, flags, script], env={"PATH": "/usr/bin:/bin", **env}, check=True)
    user, own = sorted(folder.iterdir())
    assert json.loads(own.read_text()) == given
    made = json.loads(user.read_text())
    assert made["users"] == [{"name": 'ce"lery', "password": password, "tags": ["administrator"]}]
    assert made["vhosts"] == [{"name": "/"}]
    (permissions,) = made["permissions"]
    assert (permissions["user"], permissions["vhost"]) == ('ce"lery', "/")
    assert {permissions[key] for key in ("configure", "write", "read")} == {".*"}
    assert {file.stat().st_mode & 0o077 for file in (user, own)} == {0}


def test_the_user_is_the_one_that_clients_have(helm: "Helm") -> None:
    broker = _broker(helm)
    own = {entry["name"]: entry["valueFrom"] for entry in _laying(helm)["env"]}
    server = {entry["name"]: entry.get("valueFrom") for entry in broker.container["env"]}
    assert own.keys() == {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"}
    assert own.items() <= server.items()


def test_without_them_rabbitmq_makes_its_user_itself(helm: "Helm") -> None:
    release = helm.template({}, chart="rabbitmq", release="mq")
    assert "load_definitions" not in str(release.objects)
    containers = release.workloads["mq-rabbitmq"].spec["initContainers"]
    assert [container["name"] for container in containers] == ["erlang-cookie"]


def _broker(helm: "Helm") -> "Workload":
    return helm.template(VALUES, chart="rabbitmq", release="mq").workloads["mq-rabbitmq"]


def _laying(helm: "Helm") -> "Object":
    (found,) = [c for c in _broker(helm).spec["initContainers"] if c["name"] == "definitions"]
    container: Object = found
    return container
