"""A browser for all tests of a process, and a site for each."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.exporter.page.browser import DESKTOP, ask, open_browser, prefer, resize
from tests.exporter.page.serving import Site

#: What says nothing of the page: an exporter that was stopped, and containers of tests beside this
#: one, with whose interfaces Chromium gives up the requests that wait for an answer.
NOT_OF_THE_PAGE = ("ERR_EMPTY_RESPONSE", "ERR_NETWORK_CHANGED")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """Chromium on a desktop in the light; what it complained of fails the test."""
    resize(chromium, DESKTOP)
    prefer(chromium, "light")
    chromium.get_log("browser")
    yield chromium
    complaints = [entry["message"] for entry in chromium.get_log("browser")]
    chromium.get("about:blank")
    assert not [each for each in complaints if not any(name in each for name in NOT_OF_THE_PAGE)]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.over.set()


def text(browser: Chrome, selector: str) -> str:
    """What a person reads there; nothing where there is no such thing."""
    return str(ask(browser, f"return document.querySelector({selector!r})?.innerText ?? ''"))
