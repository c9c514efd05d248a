"""What the READMEs say of the soak is what it judges by, and with which settings it ran."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ci.paths import ROOT
from tests.soak.__main__ import VALUES
from tests.soak.verdict import LEAST, MAY_GROW, SHARE

UNDER_FIRE = "tests/faults/README.md"


def _text(path: str) -> str:
    return " ".join((ROOT / path).read_text().split())


@pytest.mark.parametrize(
    ("path", "begins"), [("README.md", "of steady work"), (UNDER_FIRE, "`make test-soak")]
)
def test_they_name_the_limits_and_what_may_grow(path: str, begins: str) -> None:
    told = _text(path).partition(begins)[2].partition(" ## ")[0]
    mib, files, connections = LEAST.values()
    limits = (f"{100 * SHARE:g} %", f"{mib} MiB", f"{files} files", f"{connections} connections")
    assert "postgres" in MAY_GROW
    assert [each for each in (*limits, "PostgreSQL") if each not in told] == []


def test_every_setting_of_the_soak_stands_beside_its_table() -> None:
    settings = set(_leaves(yaml.safe_load(VALUES[-1].read_text())))
    assert [each for each in settings if f"`{each}`" not in _text(UNDER_FIRE)] == []


def _leaves(values: dict[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield f"{key}: {value}"
