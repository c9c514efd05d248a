"""What workers have counted since they were asked before, each thing once.

A worker counts from its start. What it counted before this process was there is not counted again:
whoever adds up these counters has seen it already.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from celery_exporter.fleet.page import Page
from celery_exporter.readings import Counted, Durations, Ended

Clock = Callable[[], float]
Rows = Mapping[tuple[str, str], Counted]


@dataclass(frozen=True, kw_only=True)
class News:
    """What is new in a page."""

    ended: tuple[Ended, ...] = ()
    counted: tuple[Counted, ...] = ()


class Ledger:
    """The last page of each worker; a worker is known by its start."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._pages: dict[str, Page] = {}

    def last(self, start: str | None) -> int:
        """The number of the last task that a worker has told of; 0 where it is not known."""
        page = self._pages.get(start or "")
        return page.last if page else 0

    def enter(self, page: Page) -> News:
        """What is new in this page."""
        before = self._pages.get(page.start)
        if before is not None and page.seconds < before.seconds:
            return News()  # an older answer, which has come late
        self._pages[page.start] = page
        last = before.last if before else 0
        return News(
            ended=tuple(ended for number, ended in page.ended.items() if number > last),
            counted=tuple(_new(page.tasks, self._known(page, before))),
        )

    def keep(self, starts: set[str]) -> None:
        """Forget all other workers."""
        self._pages = {start: page for start, page in self._pages.items() if start in starts}

    def _known(self, page: Page, before: Page | None) -> Rows:
        if before is not None:
            return before.tasks
        is_older = page.seconds > self._clock() - self._began_at
        return page.tasks if is_older else {}


def _new(now: Rows, before: Rows) -> Iterator[Counted]:
    for key, row in now.items():
        known = before.get(key)
        if known is None:
            yield row
        elif row != known:
            yield _difference(row, known)


def _difference(row: Counted, known: Counted) -> Counted:
    return Counted(
        name=row.name,
        queue=row.queue,
        counts=_less(row.counts, known.counts),
        ended=max(0, row.ended - known.ended),
        failures=_less(row.failures, known.failures),
        runtimes=_between(row.runtimes, known.runtimes),
        waits=_between(row.waits, known.waits),
    )


def _less(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, count - before.get(name, 0)) for name, count in now.items()}


def _between(now: Durations, before: Durations) -> Durations:
    pairs = zip(now.counts, before.counts, strict=True)
    return Durations(
        counts=tuple(max(0, count - known) for count, known in pairs),
        sum_seconds=max(0.0, now.sum_seconds - before.sum_seconds),
    )
