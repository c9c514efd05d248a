"""Packaging: helm is asked until its archive is the one that it always should be."""

import sys
from pathlib import Path

import pytest

from ci.package import package, subcharts
from ci.steps import Problem

#: Writes the subcharts in the order that the next line of the file `orders` says.
HELM = """#!{python}
import os, pathlib, sys, tarfile
folder = pathlib.Path(sys.argv[3].removeprefix("--destination="))
orders = folder / "orders"
order, _, rest = orders.read_text().partition("\\n")
orders.write_text(rest or order)
with tarfile.open(folder / "celery-0.1.0.tgz", "w:gz") as tar:
    for name in ["", *(f"charts/{{each}}/" for each in order.split())]:
        tar.addfile(tarfile.TarInfo(f"celery/{{name}}Chart.yaml"))
(folder / "told").write_text(" ".join([os.environ["SOURCE_DATE_EPOCH"], *sys.argv[4:]]))
print(f"Successfully packaged chart and saved it to: {{folder}}/celery-0.1.0.tgz")
"""


@pytest.fixture
def helm(tmp_path: Path) -> Path:
    """A helm that does as the file `orders` says."""
    program = tmp_path / "helm"
    program.write_text(HELM.format(python=sys.executable))
    program.chmod(0o755)
    return program


def test_an_archive_out_of_order_is_made_again(helm: Path, tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("redis rabbitmq\nredis rabbitmq\nrabbitmq redis")
    archive = package(helm, tmp_path, tmp_path, "1700000000", "--sign")
    assert subcharts(archive) == ["rabbitmq", "redis"]
    assert (tmp_path / "told").read_text() == "1700000000 --sign"


def test_one_that_never_comes_right_is_refused(helm: Path, tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("redis rabbitmq")
    with pytest.raises(Problem, match="never wrote the subcharts"):
        package(helm, tmp_path, tmp_path, "1700000000")
