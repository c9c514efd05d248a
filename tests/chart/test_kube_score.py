"""kube-score on production: what it calls critical is mended, or stays for a reason given here."""

import json
import shutil
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.conftest import files

if TYPE_CHECKING:
    from tests.chart.conftest import Helm

CRITICAL = 1
EVERY = {
    *("jobs-beat", "jobs-exporter", "jobs-rabbitmq", "jobs-redis", "jobs-test-consumers"),
    *("jobs-worker-cpu", "jobs-worker-io"),
}
SERVERS = {"jobs-rabbitmq", "jobs-redis"}
#: A check and what it says, to the objects of which it is left to say it, and why.
STAYS = {
    ("container-resources", "CPU limit is not set"): (
        EVERY,
        "it would slow down exactly the pods that have work, while others' CPU lies idle",
    ),
    ("container-image-pull-policy", "ImagePullPolicy is not set to Always"): (
        EVERY,
        "a tag or digest is required, and pods have to start while the registry is away",
    ),
    ("container-ephemeral-storage-request-and-limit", "Ephemeral Storage limit is not set"): (
        EVERY,
        "only /tmp and logs are written, and how much the app alone knows; `resources` takes it",
    ),
    ("container-ephemeral-storage-request-and-limit", "Ephemeral Storage request is not set"): (
        EVERY,
        "as for the limit",
    ),
    (
        "container-security-context-user-group-id",
        "The container is running with a low user ID",
    ): (SERVERS, "999 is the user of the official images, who owns what is in them"),
    (
        "container-security-context-user-group-id",
        "The container running with a low group ID",
    ): (SERVERS, "as for the user"),
    ("pod-probes-identical", "Container has the same readiness and liveness probe"): (
        {"jobs-redis"},
        "Redis has one question that it always answers; liveness waits five times as long",
    ),
    ("statefulset-has-servicename", "StatefulSet does not have a valid serviceName"): (
        {"jobs-redis"},
        "nobody asks for its one pod by name, so that the clients' Service is enough",
    ),
}


def test_every_critical_finding_has_a_reason_and_every_reason_a_finding(helm: "Helm") -> None:
    text = helm.run("template", "jobs", "charts/celery", *files("production"))
    found = defaultdict(set)
    for scored in _scored(text):
        for check in scored["checks"]:
            if check["grade"] == CRITICAL and not check["skipped"]:
                for comment in check["comments"]:
                    finding = check["check"]["id"], comment["summary"]
                    found[finding].add(scored["object_meta"]["name"])
    assert found == {finding: objects for finding, (objects, _) in STAYS.items()}


def _scored(text: str) -> list[dict[str, Any]]:
    binary = shutil.which("kube-score")
    if binary is None:
        pytest.fail("kube-score is needed: run this by `python -m ci exec --kube-score …`")
    options = ["--output-format=json", "--kubernetes-version=v1.35"]
    done = subprocess.run(
        [binary, "score", *options, "-"], input=text, capture_output=True, text=True, check=False
    )
    scored: list[dict[str, Any]] = json.loads(done.stdout)
    return scored
