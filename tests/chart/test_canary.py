"""A canary: pods of a second image that take their share of a group's queues."""

import json
from typing import TYPE_CHECKING

import pytest

from celery_exporter.groups import parse

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Release, Values

BOUNDS = {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10}
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def release(helm: "Helm", minimal: "Values") -> "Release":
    """The group io is scaled by the exporter, and has a canary."""
    minimal["workers"]["io"] |= {
        "autoscaling": BOUNDS,
        "env": {"A": "b"},
        "canary": {"image": {"tag": "1.5.0"}},
    }
    return helm.template(minimal | {"autoscaling": {"mode": "keda"}})


def test_it_consumes_the_same_queues_by_another_image(release: "Release") -> None:
    main, canary = (release.workloads[f"jobs-worker-io{end}"] for end in ("", "-canary"))
    assert main.container["image"] == "shop:1.4.2"
    assert canary.container["image"] == "shop:1.5.0"
    assert canary.args == main.args | {"hostname": "io-canary@%h"}
    assert canary.env == main.env | {"CELERY_WORKER_GROUP": "io-canary"}
    assert canary.owner["spec"]["replicas"] == 1


def test_nothing_that_selects_one_sees_the_other(release: "Release") -> None:
    canary = release.workloads["jobs-worker-io-canary"]
    assert canary.selector["celery-worker-group"] == "io-canary"
    budget = release.one("PodDisruptionBudget", "jobs-worker-io-canary")
    assert budget["spec"]["selector"]["matchLabels"] == canary.selector


def test_only_the_group_itself_is_scaled(release: "Release") -> None:
    (scaled,) = release.all("ScaledObject")
    assert scaled["spec"]["scaleTargetRef"] == {"name": "jobs-worker-io"}


def test_the_exporter_counts_it_as_a_group_that_is_not_scaled(release: "Release") -> None:
    document = release.one("ConfigMap", "jobs-exporter")["data"]["groups.json"]
    groups = parse(json.loads(document)).by_name
    main, canary = groups["io"], groups["io-canary"]
    assert main.autoscaling is not None
    assert canary.autoscaling is None
    assert (canary.queues, canary.slots) == (main.queues, main.slots)


def test_its_replicas_are_its_own(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"] |= {
        "replicas": 9,
        "canary": {"image": {"tag": "1.5.0"}, "replicas": 0},
    }
    release = helm.template(minimal)
    replicas = {w.name: w.owner["spec"]["replicas"] for w in release.celery}
    assert replicas["jobs-worker-io"] == 9
    assert replicas["jobs-worker-io-canary"] == 0


def test_a_tag_replaces_the_digest_that_would_win(helm: "Helm", minimal: "Values") -> None:
    minimal["image"]["digest"] = DIGEST
    minimal["workers"]["io"]["canary"] = {"image": {"tag": "1.5.0"}}
    minimal["workers"]["cpu"]["image"] = {"repository": "shop-gpu"}
    workloads = helm.template(minimal).workloads
    assert workloads["jobs-worker-io"].container["image"] == f"shop@{DIGEST}"
    assert workloads["jobs-worker-io-canary"].container["image"] == "shop:1.5.0"
    assert workloads["jobs-worker-cpu"].container["image"] == "shop-gpu:1.4.2"


def test_a_groups_image_is_what_its_canary_starts_from(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["cpu"] |= {
        "image": {"repository": "shop-gpu"},
        "canary": {"image": {"digest": DIGEST}},
    }
    workloads = helm.template(minimal).workloads
    assert workloads["jobs-worker-cpu-canary"].container["image"] == f"shop-gpu@{DIGEST}"
    assert workloads["jobs-beat"].container["image"] == "shop:1.4.2"


def test_an_overlay_removes_it_with_null(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"]["canary"] = None
    assert "jobs-worker-io-canary" not in helm.template(minimal).workloads


def test_starting_one_restarts_no_pod_of_its_group(helm: "Helm", minimal: "Values") -> None:
    before = helm.template(minimal).workloads["jobs-worker-io"]
    minimal["workers"]["io"]["canary"] = {"image": {"tag": "1.5.0"}}
    after = helm.template(minimal).workloads["jobs-worker-io"]
    assert after.owner == before.owner


def test_the_notes_tell_its_image(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"]["canary"] = {"image": {"tag": "1.5.0"}}
    (line,) = [line for line in helm.notes(minimal).splitlines() if "jobs-worker-io-canary" in line]
    assert line.endswith("from default, email, by shop:1.5.0")
