"""The page in a real Chromium."""

from dataclasses import replace
from typing import Literal

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.exporter.page import picture, samples
from tests.exporter.page.browser import DESKTOP, PHONE, ask, open_browser, prefer, resize
from tests.exporter.page.conftest import text
from tests.exporter.page.serving import Site
from tests.runtime.conftest import wait_until

#: WCAG 2.2, level AA, for text of this size.
LEAST_CONTRAST = 4.5

#: Of each text on the page: its contrast with what is behind it, and the text.
CONTRASTS = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = (colour) => {
  const [red, green, blue] = channels(colour).slice(0, 3).map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor;
    const [, , , alpha = 1] = channels(colour);
    if (alpha === 1) return colour;
  }
  return "rgb(255, 255, 255)";
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  const both = [luminance(getComputedStyle(element).color), luminance(behind(element))];
  const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  found.push([contrast, walker.currentNode.data.trim()]);
}
return found;
"""
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: Boxes that reach out of the window, were the window not to scroll to them.
OUTSIDE = """
return [...document.querySelectorAll("main *:not(.heard):not(thead *)")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 0.5)
  .map((each) => each.outerHTML.slice(0, 80));
"""


def test_everything_is_on_the_page(browser: Chrome, site: Site) -> None:
    browser.get(site.url)
    assert text(browser, "h1") == "Celery"
    assert "thumbnails" in text(browser, ".summary")
    assert "no queue 'reports'" in text(browser, ".problems")
    row = text(browser, "#queue-4").split()
    assert row[:10] == ["thumbnails", "broken", "30", "s", "1", "min", "23", "s", "1,284", "16"]
    groups = text(browser, "table.groups")
    assert "17 would be needed." in groups
    assert "0 to 12" in groups
    assert text(browser, "table.graves tbody").split() == ["email", "2"]
    assert "maximum 17 would be needed." in text(browser, "table.events tbody tr")
    captions = [each.text for each in browser.find_elements(By.TAG_NAME, "caption")]
    assert captions == ["Queues", "Worker groups", "Dead letters", "Last scale events"]


def test_what_has_changed_comes_without_a_reload_and_keeps_what_was_chosen(
    browser: Chrome, site: Site
) -> None:
    browser.get(site.url)
    ask(
        browser,
        "window.same = true; getSelection().selectAllChildren(document.querySelector('h1'))",
    )
    ask(browser, "document.querySelector('.summary a').focus()")
    ask(browser, "window.row = document.querySelector('#queue-1')")
    changed = replace(site.overview.queues[0], waiting=77)
    site.overview = replace(site.overview, queues=(changed, *site.overview.queues[1:]))
    wait_until(lambda: "77" in text(browser, "#queue-1"), "the new number is shown")
    assert ask(browser, "return window.same && window.row === document.querySelector('#queue-1')")
    assert ask(browser, "return getSelection().toString()") == "Celery"
    assert ask(browser, "return document.activeElement.innerText") == "thumbnails"


def test_rows_and_sections_come_and_go(browser: Chrome, site: Site) -> None:
    browser.get(site.url)
    as_loaded = ask(browser, "return document.querySelector('main').innerHTML")
    site.overview = replace(site.overview, queues=site.overview.queues[:2])
    wait_until(lambda: not text(browser, "#queue-3"), "the other queues are gone")
    assert "email" in text(browser, "#queue-2")
    site.overview = samples.empty()
    wait_until(lambda: "There are no queues." in text(browser, "main"), "the page is empty")
    assert not text(browser, ".problems")
    site.overview = samples.afternoon()
    wait_until(
        lambda: ask(browser, "return document.querySelector('main').innerHTML") == as_loaded,
        "the page is as it is loaded",
    )


@pytest.mark.parametrize("trouble", ["gone", "proxy", "silent"])
def test_an_exporter_that_is_away_is_said_with_since_when(
    browser: Chrome, site: Site, trouble: Literal["gone", "proxy", "silent"]
) -> None:
    browser.get(site.url)
    assert not text(browser, "#away")
    site.trouble = trouble
    wait_until(lambda: text(browser, "#away"), "it is said", seconds=40)
    assert text(browser, "#away") == (
        "The exporter has not answered since 2026-11-21 14:32:05 UTC. What is shown is from then."
    )
    assert "1,284" in text(browser, "#queue-4")
    site.trouble = ""
    wait_until(lambda: not text(browser, "#away"), "it is back", seconds=40)


def test_a_page_that_nobody_sees_asks_for_nothing(browser: Chrome, site: Site) -> None:
    browser.get(site.url)
    wait_until(lambda: site.asked > 1, "it asks while it is seen")
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    other = Site()
    browser.get(other.url)
    asked = site.asked
    wait_until(lambda: other.asked > 2, "the page that is seen has asked twice")
    # One may have been under way.
    assert site.asked <= asked + 1
    browser.close()
    browser.switch_to.window(first)
    wait_until(lambda: site.asked > asked + 1, "it asks again once it is seen")


@pytest.mark.parametrize("deployment", ["afternoon", "large", "hostile", "empty"])
@pytest.mark.parametrize("width", [PHONE, 768, DESKTOP])
def test_nothing_reaches_beyond_the_window(
    browser: Chrome, site: Site, width: int, deployment: str
) -> None:
    site.overview = getattr(samples, deployment)()
    resize(browser, width)
    browser.get(site.url)
    assert ask(browser, OVERFLOW) == 0
    assert ask(browser, OUTSIDE) == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_enough_from_what_is_behind_it(
    browser: Chrome, site: Site, scheme: str, width: int
) -> None:
    prefer(browser, scheme)
    resize(browser, width)
    browser.get(site.url)
    ask(browser, "document.querySelector('#away').textContent = 'The exporter is away.'")
    found = ask(browser, CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each[0] < LEAST_CONTRAST] == []


def test_it_is_dark_for_those_who_want_it_dark(browser: Chrome, site: Site) -> None:
    browser.get(site.url)
    assert ask(browser, BACKGROUND) == "rgb(251, 251, 249)"
    prefer(browser, "dark")
    assert ask(browser, BACKGROUND) == "rgb(20, 23, 22)"


def test_names_of_an_enemy_are_shown_and_do_nothing(browser: Chrome, site: Site) -> None:
    site.overview = samples.hostile()
    browser.get(site.url)
    assert browser.title == "Celery: queues and workers"
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 1
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    assert text(browser, "#queue-1 th") == samples.HOSTILE_NAMES[0]
    assert text(browser, "#queue-2 th") == samples.HOSTILE_NAMES[1]
    assert "{{ 7 * 7 }}" in text(browser, "#queue-6 th")


def test_a_script_that_is_not_the_page_s_own_is_refused(chromium: Chrome, site: Site) -> None:
    chromium.get(site.url)
    ask(
        chromium,
        "const own = document.createElement('script'); own.textContent = 'document.title = 1';"
        "document.body.append(own); document.body.setAttribute('style', 'color: red')",
    )
    assert chromium.title == "Celery: queues and workers"
    assert "Content Security Policy" in str(chromium.get_log("browser"))


def test_a_phone_is_told_what_each_number_is(browser: Chrome, site: Site) -> None:
    resize(browser, PHONE)
    browser.get(site.url)
    label = (
        "return getComputedStyle(document.querySelector('#queue-1 .number'), '::before').content"
    )
    assert "Oldest" in ask(browser, label) or "data-label" in ask(browser, label)
    # Cards are rows of a table all the same, to those who hear them.
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in tree if "role" in node]
    assert roles.count("table") == 4
    assert roles.count("rowheader") >= 9


def test_all_of_it_is_there_without_scripts(site: Site) -> None:
    with open_browser() as browser:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.get(site.url)
        body = browser.find_element(By.TAG_NAME, "body").text
        assert "1,284" in body
        assert "17 would be needed." in body
        assert "Load it again for what is now." in body


def test_the_picture_for_the_documentation_is_a_small_png() -> None:
    taken = picture.take()
    assert taken.startswith(b"\x89PNG")
    assert 20_000 < len(taken) < picture.MAX_BYTES
