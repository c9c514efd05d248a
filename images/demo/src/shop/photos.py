"""Photographs: where they are, made small, and laid side by side. No database, no Celery."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

# The longer edge of each size, in pixels.
EDGES = {"small": 64, "medium": 160, "large": 320}
_GAP = 8
_SUFFIXES = {".jpg", ".png"}


def names(folder: Path) -> list[str]:
    """Return the photographs in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES)


def locate(folder: Path, name: str) -> Path:
    """Return the file of the photograph `name`; never one outside of `folder`."""
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise FileNotFoundError(f"no photograph named {name!r}")
    return path


def resize(path: Path, edge: int) -> tuple[bytes, int, int]:
    """Return the photograph as JPEG with its longer edge cut to `edge`, and width and height."""
    with Image.open(path) as photo:
        small = photo.convert("RGB")
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return _jpeg(small), small.width, small.height


def contact_sheet(pictures: Sequence[bytes]) -> bytes:
    """Return one JPEG with all `pictures` side by side."""
    images = [Image.open(BytesIO(picture)) for picture in pictures]
    width = sum(image.width + _GAP for image in images) + _GAP
    sheet = Image.new("RGB", (width, max(image.height for image in images) + 2 * _GAP), "white")
    left = _GAP
    for image in images:
        sheet.paste(image, (left, _GAP))
        left += image.width + _GAP
    return _jpeg(sheet)


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
