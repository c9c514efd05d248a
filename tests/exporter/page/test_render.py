"""The page as text: what it says, and what it does not."""

import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from celery_exporter.overview import QueueStatus
from celery_exporter.page import pages, render
from celery_exporter.page.view import MAX_EVENTS, Verdict, verdict_of
from celery_runtime.health.server import Response
from tests.exporter.page import samples
from tests.exporter.page.samples import queue

MAX_SECONDS = 0.1
MAX_BYTES = 300_000


class Cells(HTMLParser):
    """The tables' cells as their text, and every attribute that there is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] = f"{self.cells[-1]} {data}".strip()


def row(status: QueueStatus) -> list[str]:
    """The cells of one queue."""
    page = render(replace(samples.empty(), queues=(status,)))
    cells = Cells(page).cells
    first = cells.index("Waiting, last hour") + 1
    return [" ".join(cell.split()) for cell in cells[first:]]


def test_what_is_not_known_is_said_and_no_zero() -> None:
    unread = queue("a", waiting=None, oldest_seconds=None, running=None, dead_letters=None)
    cells = row(unread)
    assert cells[2:6] == ["— unknown"] * 4
    assert "0" not in cells
    assert cells[1].startswith("unknown")


def test_a_queue_in_which_nothing_waits_has_no_oldest_message_and_keeps_its_promise() -> None:
    cells = row(queue("a"))
    assert cells[1].startswith("kept")
    assert cells[2:4] == ["none", "0"]


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"waiting": 3, "oldest_seconds": 9.9}, Verdict.KEPT),
        ({"waiting": 3, "oldest_seconds": 10.0}, Verdict.KEPT),
        ({"waiting": 3, "oldest_seconds": 10.1}, Verdict.BROKEN),
        ({"waiting": 3}, Verdict.UNKNOWN),
        ({"waiting": None}, Verdict.UNKNOWN),
        ({"waiting": None, "oldest_seconds": 11.0}, Verdict.BROKEN),
        ({"waiting": 3, "oldest_seconds": 99.0, "promised_seconds": None}, Verdict.NONE),
    ],
)
def test_a_promise_is_judged_by_the_oldest_message(
    more: dict[str, float | None], verdict: Verdict
) -> None:
    assert verdict_of(queue("a", **more)) is verdict
    assert row(queue("a", **more))[1].startswith(verdict)


def test_broken_promises_are_named_above_everything() -> None:
    page = render(samples.afternoon())
    assert page.index("Waits longer than promised:") < page.index("<table")
    kept = render(replace(samples.empty(), queues=[queue("a")]))
    assert "Every promised wait is kept." in kept
    unread = render(replace(samples.empty(), queues=[queue("a", waiting=None), queue("b")]))
    assert "Not known whether 1 of 2 promised waits is kept." in unread
    assert "No wait is promised." in render(samples.empty())


def test_a_group_that_nobody_scales_is_not_called_unknown() -> None:
    calm = samples.afternoon()
    page = render(replace(samples.empty(), groups=[calm.groups[3]]))
    assert "not scaled" in page
    assert "—" not in page.replace('aria-hidden="true">—</span>\n</span>', "")
    undecided = replace(calm.groups[0], desired=None, reason="", sentence="")
    page = render(replace(samples.empty(), groups=[undecided]))
    assert "not scaled" not in page
    assert page.count('<span class="heard">unknown</span>') == 2


def test_only_the_latest_events_are_shown_and_the_others_counted() -> None:
    events = [replace(samples.afternoon().events[0], sentence=f"why {at}.") for at in range(40)]
    page = render(replace(samples.empty(), events=events))
    assert f"why {MAX_EVENTS - 1}." in page
    assert f"why {MAX_EVENTS}." not in page
    assert f"{40 - MAX_EVENTS} earlier ones are not shown." in page


def test_names_are_escaped_wherever_they_stand() -> None:
    page = render(samples.hostile())
    assert page.count("<script") == 1
    assert "&lt;script&gt;document.title" in page
    assert "onload" not in Cells(page).attributes
    assert "half ? a pair" in page


def test_nothing_stands_inline_that_a_strict_policy_would_refuse() -> None:
    found = Cells(render(samples.afternoon()))
    assert "style" not in found.attributes | found.tags
    assert not [name for name in found.attributes if name.startswith("on")]


def test_every_heading_of_a_table_says_what_it_heads() -> None:
    page = render(samples.afternoon())
    assert page.count("<caption") == page.count("<table") == 4
    # Said outright, because some browsers forget it where a style sheet makes cards of rows.
    assert page.count("<table") == page.count('role="table"')
    assert page.count("<tr") == page.count('role="row"')
    assert page.count("<td") == page.count('role="cell"')
    assert page.count("<th ") == page.count('scope="col"') + page.count('scope="row"')


def test_fifty_queues_and_twenty_groups_are_a_small_page_in_no_time() -> None:
    overview = samples.large()
    assert len(render(overview).encode()) < MAX_BYTES
    times = []
    for _ in range(5):
        started = time.process_time()
        render(overview)
        times.append(time.process_time() - started)
    assert min(times) < MAX_SECONDS


def test_each_page_is_served_as_what_it_is_under_a_strict_policy() -> None:
    served = pages(samples.afternoon)
    kinds = {}
    for path, page in served.items():
        answer = page()
        assert isinstance(answer, Response)
        kinds[path] = answer.kind
        assert answer.headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert kinds == {
        "/": "text/html; charset=utf-8",
        "/page.css": "text/css; charset=utf-8",
        "/page.js": "text/javascript; charset=utf-8",
        "/page.svg": "image/svg+xml",
    }
