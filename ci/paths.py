"""Where things are, and the keys under which what was built is kept."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser()
    / "celery-on-kubernetes"
)
LOGS = CACHE / "logs"
BIN = CACHE / "bin"
KUBECONFIG = CACHE / "kubeconfig"


def key_of(*inputs: Path | str) -> str:
    """Twelve hexadecimal digits that change when any input does.

    A path stands for its content, a folder for all the files below it; a string for itself.
    """
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            digest.update(b"s" + item.encode())
            continue
        for file in _files(item):
            digest.update(b"f" + file.relative_to(item.parent).as_posix().encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(path)
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file)
    )
