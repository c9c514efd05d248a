"""The project's own images, tagged by the content that they are built from."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ci import publicimages
from ci.engine import Engine
from ci.paths import ROOT, key_of
from ci.steps import step

# What a Dockerfile reads beside its own folder: the build context is the repository.
SHARED = tuple(ROOT / name for name in ("pyproject.toml", "uv.lock", ".dockerignore"))

# Images of the tests alone: Celery and an app of ten lines, which runs with `runtime: false`, and
# the demonstration with a clock that can be set.
PLAIN = ROOT / "tests" / "cluster" / "work" / "plain"
CLOCK = ROOT / "tests" / "faults" / "clock"


@dataclass(frozen=True)
class Image:
    """A built image: repository and tag as the chart's values take them."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def build_all(engine: Engine) -> Image:
    """Build the runtime image and the demonstration's, which is returned."""
    runtime = _build_runtime(engine)
    return _build(engine, "demo", {"RUNTIME_IMAGE": str(runtime)}, str(runtime))


def build_exporter(engine: Engine) -> Image:
    """Build the exporter's image, which holds the runtime's package."""
    runtime = _build_runtime(engine)
    return _build(engine, "exporter", {"PYTHON_IMAGE": publicimages.PYTHON}, str(runtime))


def build_plain(engine: Engine) -> Image:
    """Build the tests' image that holds nothing of this project."""
    python = publicimages.provide(engine, publicimages.PYTHON)
    image = Image("celery-plain", key_of(PLAIN, python))
    return _provide(engine, image, "--file", PLAIN / "Containerfile", PLAIN)


def build_clock(engine: Engine, base: Image) -> Image:
    """Build the tests' image of workers whose clock can be set."""
    image = Image("celery-demo-clock", key_of(CLOCK, str(base)))
    options = (f"--build-arg=BASE={base}", "--file", CLOCK / "Containerfile")
    return _provide(engine, image, *options, CLOCK)


def dependencies(engine: Engine) -> list[str]:
    """Make the images of the servers that the demonstration uses; empty where they are pulled."""
    if engine.source == "registry":
        return []
    servers = [name for name in publicimages.NAMES if name != publicimages.PYTHON]
    for name in servers:
        publicimages.provide(engine, name)
    return servers


def push(engine: Engine, image: Image, repository: str) -> Image:
    """Push an image to a registry's repository; returns it under that name."""
    pushed = Image(f"{repository.rstrip('/')}/{image.repository}", image.tag)
    with step(f"Push {pushed}") as work:
        engine.run(work, "tag", str(image), str(pushed))
        engine.run(work, "push", str(pushed))
    return pushed


def _build_runtime(engine: Engine) -> Image:
    python = publicimages.provide(engine, publicimages.PYTHON)
    return _build(engine, "runtime", {"PYTHON_IMAGE": publicimages.PYTHON}, python)


def _build(engine: Engine, name: str, arguments: dict[str, str], base: str) -> Image:
    folder = ROOT / "images" / name
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    image = Image(project["name"], f"{project['version']}-{key_of(folder, *SHARED, base)}")
    values = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    return _provide(engine, image, *values, "--file", folder / "Dockerfile", ROOT)


def _provide(engine: Engine, image: Image, *options: str | Path) -> Image:
    if not engine.has_image(str(image)):
        with step(f"Build the image {image}") as work:
            engine.run(work, "build", "--tag", str(image), *options)
    return image
