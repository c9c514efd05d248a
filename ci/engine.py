"""The container engine (docker or podman), and where public images come from.

`registry`: they are pulled. `packages`: no registry can be reached, and stand-ins of the same
names are built from Debian packages and Go modules, which only podman can do without privileges
that such machines lack.
"""

import json
import os
import resource
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

from ci import host
from ci.paths import CACHE
from ci.steps import Problem, Step, capture, succeeds

Source = Literal["registry", "packages"]
SOURCE_VARIABLE = "CLUSTER_SOURCE"
TRIAL_IMAGE = "busybox:1.37"  # 2 MB: whether it can be pulled is known within seconds
TRIAL_SECONDS = 45


@dataclass(frozen=True)
class Engine:
    """docker or podman, the environment it needs, and the source of public images."""

    name: Literal["docker", "podman"]
    source: Source
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """Return the command line that runs this engine."""
        return [self.name, *arguments]

    def run(self, work: Step, *arguments: str | Path) -> None:
        """Run the engine as a command of a step."""
        work.run(self.command(*arguments), env=self.env)

    def capture(self, *arguments: str | Path) -> str:
        """Return what a short command of the engine prints."""
        return capture(self.command(*arguments), env=self.env)

    def has_image(self, reference: str) -> bool:
        """Tell whether an image is in the engine's own store."""
        return succeeds(self.command("image", "inspect", reference), env=self.env)

    def image_id(self, reference: str) -> str:
        """Return the digest of an image's configuration."""
        return self.capture("image", "inspect", "--format", "{{.Id}}", reference).strip()

    def save(self, work: Step, references: Sequence[str], archive: Path) -> None:
        """Write images to one archive, which has what they share once.

        They have the names that a manifest uses for them: podman prefixes what it built with
        `localhost/`, and a node would not find it by that name.
        """
        archive.unlink(missing_ok=True)
        if self.name == "docker":
            self.run(work, "save", "--output", archive, *references)
            return
        raw = archive.with_suffix(".podman")
        raw.unlink(missing_ok=True)
        form = ("--format", "docker-archive", "--multi-image-archive")
        self.run(work, "save", *form, "--output", raw, *references)
        _rename(raw, archive)
        raw.unlink()


def _rename(raw: Path, archive: Path) -> None:
    with tarfile.open(raw) as source, tarfile.open(archive, "w") as target:
        for member in source:
            content = source.extractfile(member)
            if member.name == "manifest.json" and content:
                images = json.loads(content.read())
                for image in images:
                    image["RepoTags"] = [
                        tag.removeprefix("localhost/") for tag in image["RepoTags"]
                    ]
                text = json.dumps(images).encode()
                member.size = len(text)
                content = BytesIO(text)
            target.addfile(member, content)


def choose() -> Engine:
    """Find the engine and the source by trying; CLUSTER_SOURCE forces the source."""
    forced = _forced_source()
    if forced != "packages":
        docker = Engine("docker", "registry")
        # a docker client without an engine is no docker
        if succeeds(["docker", "info"], timeout_seconds=10) and (forced or _pulls(docker)):
            return docker
        host.ensure(host.ENGINE)
        podman = Engine("podman", "registry")
        if forced or _pulls(podman):
            return podman
    host.ensure(host.ENGINE)
    settings = str(_podman_settings())
    return Engine("podman", "packages", {**os.environ, "CONTAINERS_CONF": settings})


def _forced_source() -> Source | None:
    value = os.environ.get(SOURCE_VARIABLE)
    if not value:
        return None
    for source in get_args(Source):
        if value == source:
            return source  # type: ignore[no-any-return]
    raise Problem(f"{SOURCE_VARIABLE}={value}: use one of {', '.join(get_args(Source))}")


def _pulls(engine: Engine) -> bool:
    # podman takes a short name only with its transport: that is docker's own rule for it
    name = TRIAL_IMAGE if engine.name == "docker" else f"docker://{TRIAL_IMAGE}"
    return succeeds(
        engine.command("pull", "--quiet", name), env=engine.env, timeout_seconds=TRIAL_SECONDS
    )


def _podman_settings() -> Path:
    """Write settings under which podman starts privileged containers in a narrow sandbox.

    crun refuses hybrid cgroups; podman's default limits exceed a sandbox's hard ones, and podman
    lowers its own process limit to the kernel's pid_max before a container inherits it. It allows
    a container 2,048 tasks: a node is one, and has those of all its pods.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    processes = min(resource.getrlimit(resource.RLIMIT_NPROC)[1], pid_max)
    path = CACHE / "containers.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
pids_limit = 0
"""
    )
    return path
