"""Public images rebuilt from Debian packages, under their public names.

Charts and Dockerfiles then name what users pull, whether or not a registry can be reached.
"""

import os
from pathlib import Path

from ci import host
from ci.engine import Engine
from ci.paths import CACHE, ROOT, key_of
from ci.steps import Step, step

FOLDER = ROOT / "ci" / "standins"
PYTHON = "python:3.13-slim"
NAMES = {
    PYTHON: "python",
    "rabbitmq:4.3-management": "rabbitmq",
    "redis:8": "redis",
    "valkey/valkey:8": "valkey",
    "postgres:17": "postgres",
}
BROKERS = ("rabbitmq:4.3-management", "redis:8", "valkey/valkey:8")
# Where each image keeps the certificates that it trusts, and the variables that pip and uv read.
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
TRUST = [f"ENV {variable}={BUNDLE}" for variable in ("SSL_CERT_FILE", "PIP_CERT")]
#: As in the image that is stood in for: apt keeps no caches, dpkg installs no texts.
NO_CACHES = 'Dir::Cache { pkgcache ""; srcpkgcache ""; }; APT::Keep-Downloaded-Packages "false";'
LEAN = [
    f"--customize-hook=echo '{NO_CACHES}' >$1/etc/apt/apt.conf.d/docker-clean",
    "--customize-hook=rm $1/var/cache/apt/*.bin",
    *(f"--dpkgopt=path-exclude=/usr/share/{texts}/*" for texts in ("doc", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
]


def provide(engine: Engine, reference: str) -> str:
    """Make a public image available to the engine; returns the key of its content."""
    if engine.source == "registry":
        return reference
    base = debian(engine, "trixie")
    folder = FOLDER / NAMES[reference]
    return build(engine, reference, folder, key_of(folder, base))


def debian(engine: Engine, suite: str) -> str:
    """Make `debian:SUITE-slim`, which trusts what this machine trusts; returns its key."""
    reference = f"debian:{suite}-slim"
    key = key_of(suite, " ".join([*TRUST, *LEAN]), Path(BUNDLE))
    marker = f"{reference}-{key}"
    if engine.source == "registry" or engine.has_image(marker):
        return key
    host.ensure(host.NODE_IMAGE)
    archive = CACHE / f"debian-{suite}.tar"
    with step(f"Build {reference} from Debian packages") as work:
        _bootstrap(work, suite, archive)
        changes = [f"--change={change}" for change in ['CMD ["bash"]', *TRUST]]
        engine.run(work, "import", *changes, archive, marker)
        engine.run(work, "tag", marker, reference)
    archive.unlink()
    return key


def _bootstrap(work: Step, suite: str, archive: Path) -> None:
    work.run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            *LEAN,
            f"--customize-hook=copy-in {BUNDLE} {Path(BUNDLE).parent}",
            "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg",
            suite,
            archive,
        ],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


def build(
    engine: Engine,
    reference: str,
    folder: Path,
    key: str,
    *options: str | Path,
    context: Path | None = None,
) -> str:
    """Build a folder's Containerfile as an image unless this state of it is there already.

    The context is the folder itself unless another is given.
    """
    marker = f"{reference}-{key}"
    if not engine.has_image(marker):
        with step(f"Build the image {reference}") as work:
            file = folder / "Containerfile"
            build_it = ["build", *options, "--file", file, "--tag", marker, context or folder]
            engine.run(work, *build_it)
    engine.capture("tag", marker, reference)
    return key
