"""Where what only Secrets are to hold stands for everybody to read."""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from ci.steps import Problem
from tests.cluster.shop import Shop

#: Keys of what is shown to whoever connects, and of names, which servers write into their logs.
PUBLIC = {"ca.crt", "tls.crt", "username"}
#: What helm keeps of a release, for itself.
RELEASES = "helm.sh/release.v1"
#: What is shorter names something: a user, a database.
SHORTEST = 8
CONTAINERS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def leaks(shop: Shop) -> list[str]:
    """Name each value of the namespace's Secrets that an object or a log holds, and where."""
    secrets = spellings(shop.get("secrets")["items"])
    assert secrets, "there is no secret that could leak"
    return [
        f"{secret} in {where}"
        for where, text in _texts(shop)
        for secret, spelled in secrets.items()
        if any(each in text for each in spelled)
    ]


def spellings(secrets: Iterable[Any]) -> dict[str, set[str]]:
    """What is secret of these Secrets, by the names of each and its key, however it is written."""
    return {
        f"{secret['metadata']['name']}/{key}": _spelled(encoded)
        for secret in secrets
        if secret["type"] != RELEASES
        for key, encoded in secret.get("data", {}).items()
        if key not in PUBLIC and len(b64decode(encoded).strip()) >= SHORTEST
    }


def _spelled(encoded: str) -> set[str]:
    """As it is, as a Secret has it, as JSON has it, and in a URL."""
    # A keystore is no text. A file ends with a newline, which what is made of it does not have.
    text = b64decode(encoded).strip().decode(errors="replace")
    return {text, encoded, json.dumps(text)[1:-1], quote(text, safe="")}


def _texts(shop: Shop) -> Iterator[tuple[str, str]]:
    kinds = shop.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    asked = ",".join(kind for kind in kinds if kind not in ("secrets", "events"))
    # Printed anew: kubectl writes "<", ">" and "&" in a way of its own.
    yield "objects", json.dumps(shop.get(asked))
    yield "events", json.dumps(shop.get("events"))
    for pod in shop.get("pods")["items"]:
        yield from _logs(shop, pod)


def _logs(shop: Shop, pod: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """What each container of a pod has written, and the one before that it took the place of."""
    name, status = pod["metadata"]["name"], pod["status"]
    for container in (each for kind in CONTAINERS for each in status.get(kind, [])):
        before = container.get("lastState", {}).get("terminated", {})
        # One that has not started yet has no log, nor one that kubelet has lost.
        for started, options in ((container, []), (before, ["--previous"])):
            if started.get("containerID"):
                words = [name, f"--container={container['name']}", *options]
                yield " ".join(words), _log(shop, *words)


def _log(shop: Shop, pod: str, *options: str) -> str:
    try:
        return shop.kubectl("logs", pod, *options)
    except Problem:
        # It may just be going.
        if pod in shop.pods(""):
            raise
        return ""
