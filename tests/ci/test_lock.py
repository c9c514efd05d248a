"""What images are made of: no package that its makers have taken back, or left behind long ago.

Whether a vulnerability is known is asked by `make audit`, of a service that CI may not reach.
"""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.request import Request, urlopen

import pytest
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from ci.paths import ROOT

INDEX_FORMAT = "application/vnd.pypi.simple.v1+json"
#: How long ago a newer version may have come out that the lock does not have.
LONGEST_BEHIND = timedelta(days=365)
#: One lost answer of hundreds says nothing of a package.
ATTEMPTS = 3
IMAGES = ("celery-runtime", "celery-exporter", "celery-demo")


@pytest.fixture(scope="module", params=IMAGES)
def locked(request: pytest.FixtureRequest) -> dict[str, Version]:
    """The packages of an image, each in the version that it is installed in."""
    uv = (os.environ["UV"], "export", "--frozen", "--no-dev", "--no-emit-workspace", "--no-hashes")
    said = subprocess.run(
        [*uv, "--package", request.param], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = [line for line in said.stdout.splitlines() if line and line[0] not in "# -"]
    found = [Requirement(line) for line in lines]
    return {each.name: Version(str(each.specifier).removeprefix("==")) for each in found}


def test_no_locked_version_was_taken_back(locked: dict[str, Version]) -> None:
    assert len(locked) > 10
    files = _files(locked)
    gone = {
        f"{name} {version}": why
        for name, version in locked.items()
        if (why := _taken_back(version, files[name]))
    }
    assert gone == {}


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("1.0", []),
        ("1.1", ["it is not there any more"]),
        ("1.2", ["it is broken"]),
        ("1.3", ["True"]),
    ],
)
def test_a_version_is_taken_back_where_a_file_is_marked_or_none_is_left(
    version: str, why: list[str]
) -> None:
    yanked = {"1.0": False, "1.2": "it is broken", "1.3": True}
    files = [{"filename": f"any-{each}.tar.gz", "yanked": why} for each, why in yanked.items()]
    assert _taken_back(Version(version), [*files, {"filename": "any-1.1.exe"}]) == why


def test_no_locked_version_was_left_behind_long_ago(locked: dict[str, Version]) -> None:
    files = _files(locked)
    behind = {
        name: f"{version}, and {newer} came out on {since:%Y-%m-%d}"
        for name, version in locked.items()
        for newer, since in [_first_newer(version, files[name])]
        if datetime.now(UTC) - since > LONGEST_BEHIND
    }
    assert behind == {}, "uv lock --upgrade-package NAME brings the newer one"


def _taken_back(version: Version, files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why a version is not to be had any more, or not to be used; nothing where all is well."""
    own = [file for file in files if _version(file) == version]
    if not own:
        return ["it is not there any more"]
    return [str(file["yanked"]) for file in own if file["yanked"]]


def _first_newer(version: Version, files: list[dict[str, Any]]) -> tuple[Version, datetime]:
    """The oldest release that is newer, and when it came out; now where there is none."""
    newer = {
        found: datetime.fromisoformat(file["upload-time"])
        for file in files
        if (found := _version(file)) and found > version and not found.is_prerelease
    }
    return min(newer.items(), key=lambda each: each[1], default=(version, datetime.now(UTC)))


def _files(locked: Mapping[str, Version]) -> dict[str, list[dict[str, Any]]]:
    # Threads that come at once would each do it.
    _indexes(), _trust()
    with ThreadPoolExecutor(8) as beside:
        return dict(zip(locked, beside.map(_asked, locked), strict=True))


@cache
def _asked(name: str) -> list[dict[str, Any]]:
    """The files of a package, as the index that it was locked from has them."""
    page = f"{_indexes()[name]}/{canonicalize_name(name)}/"
    asked = Request(page, headers={"Accept": INDEX_FORMAT})  # noqa: S310 # the lock's
    for attempt in range(ATTEMPTS):
        try:
            with urlopen(asked, timeout=30, context=_trust()) as answer:  # noqa: S310
                files: list[dict[str, Any]] = json.load(answer)["files"]
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    return files


@cache
def _indexes() -> dict[str, str]:
    """Where each locked package is from."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    found = {(each["name"], each["source"].get("registry")) for each in packages}
    indexes = dict(found)
    assert len(indexes) == len(found), "a package is locked from two indexes"
    return indexes


@cache
def _trust() -> SSLContext:
    return create_default_context()


def _version(file: Mapping[str, Any]) -> Version | None:
    """The version of a wheel or an archive of sources; None of what is neither."""
    name: str = file["filename"]
    try:
        return (parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename)(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
