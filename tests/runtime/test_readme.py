"""What the README says is tested is tested."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def test_every_test_that_the_readme_names_exists() -> None:
    named = set(NAMED.findall((ROOT / "images/runtime/README.md").read_text()))
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in DEFINED.findall(file.read_text())}
    assert len(named) >= 9
    assert named <= defined
