"""`make package`: the chart as an archive, the same bytes from the same commit."""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ci import cluster
from ci.paths import ROOT
from ci.steps import Problem, capture, console

#: Once in eight times the two come in the wrong order.
ATTEMPTS = 30


def main(options: Sequence[str]) -> None:
    """Write dist/celery-<version>.tgz, with further options of `helm package` (how to sign)."""
    committed = capture(["git", "-C", ROOT, "log", "-1", "--format=%ct"]).strip()
    chart = ROOT / "charts" / "celery"
    archive = package(cluster.helm(), chart, ROOT / "dist", committed, *options)
    console.print(str(archive.relative_to(ROOT)))


def package(helm: Path, chart: Path, folder: Path, seconds: str, *options: str) -> Path:
    """Package a chart as if everything in it were of one time; returns the archive.

    Helm writes the subcharts as they come out of a map, in an order that changes from run to run.
    It is asked again until they are sorted, so that the archive is its own and it can sign it.
    """
    env = {**os.environ, "SOURCE_DATE_EPOCH": seconds}
    for _ in range(ATTEMPTS):
        said = capture([helm, "package", chart, f"--destination={folder}", *options], env=env)
        archive = Path(said.rpartition("saved it to: ")[2].splitlines()[0])
        if (order := subcharts(archive)) == sorted(order):
            return archive
    raise Problem(f"Helm never wrote the subcharts of {chart} in their order")


def subcharts(archive: Path) -> list[str]:
    """Return the subcharts' names, as they follow each other in an archive."""
    with tarfile.open(archive) as tar:
        paths = [Path(name).parts for name in tar.getnames()]
    return [path[2] for path in paths if path[1] == "charts" and path[3:] == ("Chart.yaml",)]
