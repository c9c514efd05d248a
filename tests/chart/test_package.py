"""The chart as it is handed on: the archive, and what catalogues and chart-testing read."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci.package import package, subcharts
from tests.chart.conftest import CHART, ROOT

if TYPE_CHECKING:
    from tests.chart.conftest import Helm

NOON = 1_700_000_000
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


@pytest.fixture
def archive(helm: "Helm", tmp_path: Path) -> Path:
    """The archive of the chart as it lies here."""
    return package(Path(helm.binary), CHART, tmp_path, str(NOON))


def test_it_contains_both_subcharts_in_their_order(helm: "Helm", archive: Path) -> None:
    assert subcharts(archive) == ["rabbitmq", "redis"]
    text = helm.run("template", "jobs", str(archive), "-f", "values/dev.yaml")
    assert "celery/charts/rabbitmq/templates/statefulset.yaml" in text
    assert "celery/charts/redis/templates/statefulset.yaml" in text


def test_what_it_renders_is_what_the_folder_renders(helm: "Helm", archive: Path) -> None:
    # Certificates are made anew each time.
    without = [f"--set={part}.tls.enabled=false" for part in ("rabbitmq", "redis", "autoscaling")]
    archived, lying = (
        helm.run("template", "jobs", str(chart), "-f", "values/production.yaml", *without)
        for chart in (archive, CHART)
    )
    assert archived == lying


def test_it_holds_what_a_reader_needs_and_nothing_of_ours(archive: Path) -> None:
    listed = subprocess.run(["tar", "tzf", archive], capture_output=True, text=True, check=True)
    names = set(listed.stdout.split())
    assert {f"celery/{name}" for name in ("README.md", "CHANGELOG.md", "values.yaml")} <= names
    assert not [name for name in names if "/ci/" in name]


def test_a_copy_with_other_times_makes_the_same_bytes_each_time(
    helm: "Helm", tmp_path: Path
) -> None:
    """Ten times: helm alone puts the subcharts into another order once in a while."""
    shutil.copytree(ROOT / "charts", tmp_path / "charts", symlinks=True)
    shutil.copytree(ROOT / "values", tmp_path / "values")
    for place in (tmp_path / "charts").rglob("*"):
        os.utime(place, (NOON - 86_400, NOON - 86_400))
    made = {
        package(Path(helm.binary), root / "charts" / "celery", tmp_path, str(NOON)).read_bytes()
        for root in [ROOT, *[tmp_path] * 9]
    }
    assert len(made) == 1


# What catalogues read -----------------------------------------------------------------------------


def test_the_changes_told_to_catalogues_are_those_of_the_changelog() -> None:
    text = (CHART / "CHANGELOG.md").read_text()
    section = text.partition(f"\n## {_chart()['version']}\n")[2].partition("\n## ")[0]
    told = []
    for heading in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        kind, _, entries = heading.partition("\n")
        for entry in re.split(r"^- ", entries, flags=re.MULTILINE)[1:]:
            told.append({"kind": kind.lower(), "description": " ".join(entry.split())})
    assert told
    assert {change["kind"] for change in told} <= KINDS
    assert _annotation("changes") == told


def test_the_images_told_to_catalogues_are_those_that_the_subcharts_name() -> None:
    images = []
    for name in ("rabbitmq", "redis"):
        image = yaml.safe_load((ROOT / "charts" / name / "values.yaml").read_text())["image"]
        images.append({"name": name, "image": f"{image['repository']}:{image['tag']}"})
    assert _annotation("images") == images


def test_the_charts_are_of_one_version_and_depend_on_each_other_by_it() -> None:
    version = _chart()["version"]
    assert [d["version"] for d in _chart()["dependencies"]] == [version, version]
    for name in ("rabbitmq", "redis"):
        assert _chart(name)["version"] == version


def test_the_licence_told_to_catalogues_is_the_repositorys() -> None:
    assert _chart()["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def _chart(name: str = "celery") -> dict[str, Any]:
    chart: dict[str, Any] = yaml.safe_load((ROOT / "charts" / name / "Chart.yaml").read_text())
    return chart


def _annotation(name: str) -> object:
    return yaml.safe_load(_chart()["annotations"][f"artifacthub.io/{name}"])


# What chart-testing reads -------------------------------------------------------------------------


def test_chart_testing_finds_the_charts_and_values_of_each_environment(helm: "Helm") -> None:
    (folder,) = yaml.safe_load((ROOT / "ci" / "ct.yaml").read_text())["chart-dirs"]
    charts = {place.parent.name for place in (ROOT / folder).glob("*/Chart.yaml")}
    assert charts == {"celery", "rabbitmq", "redis"}
    values = sorted(CHART.glob("ci/*-values.yaml"))
    assert {place.resolve().name for place in values} == {
        *("dev.yaml", "staging.yaml", "production.yaml")
    }
    for place in values:
        report = helm.run("lint", "charts/celery", "--quiet", "-f", str(place))
        assert "WARNING" not in report
