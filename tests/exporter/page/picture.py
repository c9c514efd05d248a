"""Write the picture of the page that README shows: python -m tests.exporter.page.picture FILE."""

import sys
from pathlib import Path

from tests.exporter.page.browser import open_browser, photograph, prefer
from tests.exporter.page.serving import Site

MAX_BYTES = 300_000
WIDTH, SCALE = 1120, 1.25


def take() -> bytes:
    """The sample afternoon on a desktop, larger than life for dense screens."""
    with open_browser() as browser:
        prefer(browser, "light")
        browser.get(Site().url)
        return photograph(browser, WIDTH, scale=SCALE)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(take())
