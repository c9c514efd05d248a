"""A real Chromium without a display, and what the page looks like in it."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

#: Chromium's own sandbox needs what neither root nor a container has; only our page is opened.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
)
PHONE, DESKTOP = 360, 1280


@contextmanager
def open_browser() -> Iterator[Chrome]:
    """Start Chromium, and end it with its driver."""
    options = ChromeOptions()
    options.binary_location = _program("chromium")
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(_program("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def resize(browser: Chrome, width: int, *, height: int = 900, scale: float = 1) -> None:
    """Show the page at this width, as a phone or a window of it would."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 700},
    )


def prefer(browser: Chrome, scheme: str) -> None:
    """Say that the user wants `light` or `dark`."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def photograph(browser: Chrome, width: int, *, scale: float = 1) -> bytes:
    """The whole page as a PNG."""
    resize(browser, width)
    height = int(ask(browser, "return document.documentElement.scrollHeight"))
    resize(browser, width, height=height, scale=scale)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return base64.b64decode(shot["data"])


def ask(browser: Chrome, script: str) -> Any:  # noqa: ANN401  # JavaScript's types are its own
    """What a script in the page returns."""
    return browser.execute_script(script)


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is not installed: run this under `python -m ci exec --browser`"
    return path
