"""What the READMEs say is tested is tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


@pytest.mark.parametrize("readme", ["README.md", "images/runtime/README.md"])
def test_every_test_that_the_readme_names_exists(readme: str) -> None:
    named = set(NAMED.findall((ROOT / readme).read_text()))
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in DEFINED.findall(file.read_text())}
    assert len(named) >= 9
    assert named <= defined
