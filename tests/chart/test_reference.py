"""values.yaml, its schema and the README's reference are of one mind."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from ci import reference
from ci.paths import ROOT
from ci.steps import Problem

CHARTS = [ROOT / "charts" / name for name in reference.CHARTS]
OF_A_GROUP = {"queues", "image", "canary"}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_the_readme_says_what_values_yaml_says(chart: Path) -> None:
    committed = (chart / "README.md").read_text(encoding="utf-8")
    assert reference.written(chart) == committed, "run `make reference`"


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_the_schema_knows_the_keys_of_values_yaml_and_no_others(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    assert reference.differences(values, _schema(chart)) == []


def test_a_group_takes_what_the_defaults_take() -> None:
    properties = _schema(ROOT / "charts/celery")["properties"]
    defaults = properties["workerDefaults"]["properties"]
    group = properties["workers"]["additionalProperties"]["properties"]
    assert group == defaults | {key: group[key] for key in OF_A_GROUP}


def test_values_yaml_stays_short() -> None:
    values = (ROOT / "charts/celery/values.yaml").read_text(encoding="utf-8")
    assert len(values.splitlines()) < 700


def test_a_key_is_shown_with_its_default_and_its_comment() -> None:
    text = dedent("""\
        # What to run ---

        # The app,
        # e.g. <module>:app
        app: ""
        beat:
          # redis | volume
          store: redis
        # Bounds:
        #   {cpu: 1}
        limits: {cpu: 1, memory: null}
        """)
    assert reference.table(text).splitlines()[2:] == [
        '| `app` | `""` | The app, e.g. &lt;module>:app |',
        '| `beat.store` | `"redis"` | redis \\| volume |',
        '| `limits` | `{"cpu": 1, "memory": null}` | Bounds: `{cpu: 1}` |',
    ]


def test_a_comment_speaks_for_the_keys_below_that_it_names() -> None:
    text = "# user and password: as the server knows them.\nuser: a\npassword: b\n"
    assert [key.comment for key in reference.keys(text)][1] == reference.AS_ABOVE


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("# Said.\na: 1\nb: 2\n", "b"),
        ("a:\n  # Said.\n  b: 1\n  c: 2\n", "a.c"),
        ("# Of a alone.\na: 1\n\n# On b.c only.\nb:\n  # Said.\n  c: 1\n  d: {}\n", "b.d"),
        ("# Far away.\n\na: 1\n", "a"),
    ],
)
def test_a_key_that_no_comment_speaks_for_is_named(text: str, path: str) -> None:
    with pytest.raises(Problem, match=f"^without a comment in values.yaml: {path}$"):
        reference.keys(text)


@pytest.mark.parametrize(
    ("values", "schema", "found"),
    [
        ({"a": 1}, {"properties": {}}, ["a is not in values.schema.json"]),
        ({}, {"properties": {"a": {}}}, ["a is not in values.yaml"]),
        ({}, {"properties": {"a": {"description": "Refused."}}}, []),
        (
            {"a": {"b": {"c": 1}}},
            {
                "properties": {"a": {"properties": {"b": {"$ref": "#/definitions/b"}}}},
                "definitions": {"b": {"properties": {"d": {}}}},
            },
            ["a.b.c is not in values.schema.json", "a.b.d is not in values.yaml"],
        ),
        ({"a": {}}, {"properties": {"a": {"properties": {"b": {}}}}}, []),
    ],
)
def test_a_key_that_one_of_them_lacks_is_named(
    values: dict[str, Any], schema: dict[str, Any], found: list[str]
) -> None:
    assert reference.differences(values, schema) == found


def test_a_readme_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# chart\n")
    with pytest.raises(Problem, match="says nowhere where its reference is"):
        reference.written(tmp_path)


def _schema(chart: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    return schema
