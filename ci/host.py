"""Programs of the machine itself: installed where that is possible, asked for elsewhere."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ci.steps import Problem, step

# command → Debian package
ENGINE = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "newuidmap": "uidmap",
    "fuse-overlayfs": "fuse-overlayfs",
    "iptables": "iptables",
}
NODE_IMAGE = {
    "mmdebstrap": "mmdebstrap",
    "catatonit": "catatonit",
    "/bin/busybox": "busybox-static",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
TEST_SERVERS = {
    "/usr/lib/postgresql": "postgresql",
    "redis-server": "redis-server",
    "promtool": "prometheus",
}
BROWSER = {"chromium": "chromium", "chromedriver": "chromium-driver"}


def ensure(programs: Mapping[str, str]) -> None:
    """Make every program present; raises Problem with the command that a person has to run."""
    missing = sorted({package for path, package in programs.items() if not _present(path)})
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        lacking, command = ", ".join(missing), " ".join(install)
        raise Problem(f"This machine lacks {lacking}. On Debian or Ubuntu: sudo {command}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Install {', '.join(missing)} (apt)") as work:
        work.run(["apt-get", "update"], env=env)
        work.run(install, env=env)


def _present(path: str) -> bool:
    return Path(path).exists() if path.startswith("/") else shutil.which(path) is not None
