"""What is found of secrets in a namespace; kubectl's answers are written here."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci.demo import Target
from ci.images import Image
from ci.steps import Problem
from tests.cluster.leaks import leaks, spellings
from tests.cluster.shop import Shop

PASSWORD = 'p@ss"w/or?d<1'
IMAGE = Image("any", "0")
LOGS = ["web-1 --container=prepare", "web-1 --container=web", "web-1 --container=web --previous"]
STARTED = {"containerID": "containerd://1"}


def _secret(name: str, texts: Mapping[str, str], kind: str = "Opaque") -> dict[str, Any]:
    data = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"metadata": {"name": name}, "type": kind, "data": data}


PAIR = {"ca.crt": "a certificate", "tls.crt": "a certificate", "tls.key": "a\nkey of TLS\n"}
SECRETS = [
    _secret("redis", {"username": "celery-2026", "password": PASSWORD}),
    _secret("redis-tls", PAIR),
    _secret("database", {"POSTGRES_DB": "shop", "PADDING": 20 * " "}),
    _secret("sh.helm.release.v1.jobs.v1", {"release": "all of it"}, "helm.sh/release.v1"),
    {"metadata": {"name": "empty"}, "type": "Opaque"},
]


@dataclass(frozen=True)
class Recorded(Shop):
    """A shop of one pod, which was started again."""

    target: Target = field(default_factory=lambda: Target({}, IMAGE, IMAGE))
    objects: Mapping[str, Any] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    #: Whether logs are refused, and which pods there are by then.
    refuses: bool = False
    left: Sequence[str] = ("web-1",)

    def kubectl(self, *arguments: str | Path) -> str:
        words = [str(word) for word in arguments]
        if words[0] == "logs":
            asked = " ".join(words[1:])
            if self.refuses or asked not in LOGS:
                raise Problem("not found")
            return self.logs.get(asked, "")
        if words[0] == "api-resources":
            return "configmaps\nevents\npods\nsecrets\n"
        return json.dumps(self._got(words[1])).replace("<", r"\u003c")

    def _got(self, kind: str) -> dict[str, Any]:
        containers = [
            {"name": "web", **STARTED, "lastState": {"terminated": STARTED}},
            {"name": "waits", "lastState": {}},
        ]
        prepare = {"name": "prepare", **STARTED, "lastState": {"terminated": {"exitCode": 137}}}
        status = {"initContainerStatuses": [prepare], "containerStatuses": containers}
        pods = {"items": [{"metadata": {"name": "web-1"}, "status": status}]}
        known = {"secrets": {"items": SECRETS}, "pods": pods}
        found: dict[str, Any] = {**known, **self.objects}.get(kind, {"items": []})
        return found

    def pods(self, selector: str) -> list[str]:
        assert selector == ""
        return list(self.left)


def test_secrets_are_what_is_neither_public_nor_a_name_nor_helms() -> None:
    assert spellings(SECRETS).keys() == {"redis/password", "redis-tls/tls.key"}


def test_where_there_is_none_none_is_found() -> None:
    said = dict.fromkeys(LOGS, "a certificate for celery-2026 of shop: all of it")
    assert leaks(Recorded(logs=said, objects={"events": {"items": ["a certificate"]}})) == []


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(
    "written",
    [
        f"AUTH {PASSWORD}",
        json.dumps({"password": PASSWORD}),
        "redis://:p%40ss%22w%2For%3Fd%3C1@redis",
        b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_a_password_is_found_in_every_log_however_it_is_written(log: str, written: str) -> None:
    assert leaks(Recorded(logs={log: f"before {written} after"})) == [f"redis/password in {log}"]


@pytest.mark.parametrize(("kinds", "where"), [("configmaps,pods", "objects"), ("events", "events")])
def test_secrets_are_found_in_objects(kinds: str, where: str) -> None:
    found = leaks(Recorded(objects={kinds: {"items": [{"args": [PASSWORD, "a\nkey of TLS"]}]}}))
    assert found == [f"redis/password in {where}", f"redis-tls/tls.key in {where}"]


def test_a_pod_that_has_just_gone_has_no_log() -> None:
    assert leaks(Recorded(refuses=True, left=[])) == []
    with pytest.raises(Problem):
        leaks(Recorded(refuses=True))
