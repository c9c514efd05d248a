"""groups.json, as the chart writes it and as somebody may have changed it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from celery_exporter.groups import Autoscaling, Group, Groups, load, parse
from celery_runtime import SettingsError

LABELS = {"app.kubernetes.io/name": "celery", "app.kubernetes.io/instance": "jobs"}


def document(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    scaled = {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10}
    io = {"queues": ["default"], "slots": 100, "maxTaskSeconds": 60, "autoscaling": scaled}
    cpu = {"queues": ["images"], "slots": 4, "maxTaskSeconds": 600}
    whole = {
        "namespace": "shop",
        "labels": LABELS,
        "groupLabel": "celery-worker-group",
        "port": 8080,
        "groups": {"io": io, "cpu": cpu},
    }
    return {**whole, **changes}


def test_the_chart_s_groups_are_read(tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text(json.dumps(document()))
    assert load(tmp_path) == Groups(
        namespace="shop",
        labels=LABELS,
        group_label="celery-worker-group",
        port=8080,
        by_name={
            "io": Group(
                name="io",
                queues=("default",),
                slots=100,
                max_task_seconds=60,
                autoscaling=Autoscaling(min_replicas=0, max_replicas=20, queue_wait_seconds=10),
            ),
            "cpu": Group(name="cpu", queues=("images",), slots=4, max_task_seconds=600),
        },
    )


def test_without_the_file_there_are_no_groups(tmp_path: Path) -> None:
    assert load(tmp_path) == Groups()


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text("{")
    with pytest.raises(SettingsError, match=r"groups\.json is not JSON"):
        load(tmp_path)


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with one key that is another, or is gone (None)."""
    whole: dict[str, Any] = json.loads(json.dumps(document()))
    *parents, key = path.split(".")
    table = whole
    for parent in parents:
        table = table[parent]
    table[key] = value
    if value is None:
        del table[key]
    return whole


@pytest.mark.parametrize(
    ("path", "value", "mend"),
    [
        ("namespace", None, "is missing. Set it to a string."),
        ("namespace", "", "is empty. Set it to a string."),
        ("labels", {}, "is empty. Name the labels that all worker pods have."),
        ("labels", [], "must be an object, not a list."),
        ("labels.app", 1, "must be a string, not a whole number."),
        ("groupLabel", None, "is missing. Set it to a string."),
        ("port", None, "is missing. Set it to a whole number."),
        ("port", 70_000, "must be from 1 to 65535, not 70000."),
        ("portt", 1, "is not a known key. Did you mean port?"),
        ("groups", None, "is missing. Set it to an object."),
        ("groups.io", 1, "must be an object, not a whole number."),
        ("groups.io.queues", [], 'must name the group\'s queues, as in ["default"].'),
        ("groups.io.queues", [7], 'must name the group\'s queues, as in ["default"].'),
        ("groups.io.slots", 0, "must be from 1 to 2147483647, not 0."),
        ("groups.io.slots", True, "must be a whole number, not true."),
        ("groups.io.maxTaskSeconds", None, "is missing. Set it to a whole number."),
        ("groups.io.autoscale", {}, "is not a known key. Did you mean autoscaling?"),
        ("groups.io.autoscaling", False, "must be an object, not false."),
        ("groups.io.autoscaling.minReplicas", None, "is missing. Set it to a whole number."),
        ("groups.io.autoscaling.minReplicas", -1, "must be from 0 to 2147483647, not -1."),
        ("groups.io.autoscaling.minReplicas", 21, None),
        ("groups.io.autoscaling.maxReplicas", 0, "must be from 1 to 2147483647, not 0."),
        ("groups.io.autoscaling.queueWaitSeconds", 0, "must be above 0, not 0."),
        ("groups.io.autoscaling.queueWaitSeconds", "10s", "must be a number, not a string."),
    ],
)
def test_a_bad_file_is_one_error_that_names_the_key_and_the_mend(
    path: str, value: object, mend: str | None
) -> None:
    if mend is None:
        path, mend = "groups.io.autoscaling.maxReplicas", "must be from 21 to 2147483647, not 20."
        document = changed("groups.io.autoscaling.minReplicas", value)
    else:
        document = changed(path, value)
    with pytest.raises(SettingsError, match=re.escape(f"groups.json: {path} {mend}")):
        parse(document)


@pytest.mark.parametrize("value", [None, [], "groups", 1])
def test_a_file_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(SettingsError, match=r"groups\.json: the document must be an object"):
        parse(value)
