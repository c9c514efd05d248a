"""Photographs are made small and laid side by side."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from shop import photos


def opened(data: bytes) -> Image.Image:
    """Decode a picture completely."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def test_only_pictures_are_listed(photos_dir: Path) -> None:
    (photos_dir / "LICENSE.txt").write_text("free")
    assert photos.names(photos_dir) == ["disc.jpg", "set.png"]


def test_the_longer_edge_is_cut_to_the_size(photos_dir: Path) -> None:
    data, width, height = photos.resize(photos_dir / "set.png", 64)
    assert (opened(data).size, width, height) == ((64, 40), 64, 40)


def test_a_contact_sheet_holds_all_pictures_side_by_side(photos_dir: Path) -> None:
    pictures = [photos.resize(photos_dir / "set.png", edge)[0] for edge in (64, 160)]
    assert opened(photos.contact_sheet(pictures)).size == (8 + 64 + 8 + 160 + 8, 100 + 16)


@pytest.mark.parametrize("name", ["none.png", "../set.png", "/etc/passwd", "", "."])
def test_a_name_that_is_no_photograph_of_the_folder_is_refused(name: str, photos_dir: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no photograph named"):
        photos.locate(photos_dir, name)
