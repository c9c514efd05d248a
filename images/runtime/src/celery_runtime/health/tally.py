"""What became of a worker's tasks, counted by its main process: what its events would tell."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from uuid import uuid4

from celery_runtime.health.histogram import (
    RUNTIME_BOUNDS_SECONDS,
    WAIT_BOUNDS_SECONDS,
    Histogram,
)

KINDS = ("received", "started", "succeeded", "failed", "rejected", "revoked", "retried")
#: Stands for all that found no room.
OTHER = "other"
MOST_ROWS = 1000
MOST_QUEUES = 1000
MOST_EXCEPTIONS = 200
RECENT_ENDS = 256


class End(NamedTuple):
    """A task that has run to whatever end."""

    number: int
    name: str
    queue: str
    runtime_seconds: float
    wait_seconds: float | None


class Row:
    """The tasks of one name from one queue."""

    __slots__ = ("counts", "ended", "failures", "name", "queue", "runtimes", "waits")

    def __init__(self, name: str, queue: str) -> None:
        self.name = name
        self.queue = queue
        self.counts = dict.fromkeys(KINDS, 0)
        #: Tasks that have ended, each once; a rejected one may have failed before.
        self.ended = 0
        self.failures: dict[str, int] = {}
        self.runtimes = Histogram(RUNTIME_BOUNDS_SECONDS)
        self.waits = Histogram(WAIT_BOUNDS_SECONDS)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "queue": self.queue,
            **self.counts,
            "ended": self.ended,
            "failures": self.failures.copy(),
            "runtime": _as_dict(self.runtimes),
            "wait": _as_dict(self.waits),
        }


@dataclass(slots=True)
class Life:
    """One delivery of a task."""

    row: Row
    wait_seconds: float | None = None
    is_ended: bool = False


class Tally:
    """Counters that stay bounded, whatever names come; written and read by any thread."""

    def __init__(self) -> None:
        #: Differs from worker to worker, and after each restart.
        self.start = uuid4().hex
        self._started_at = time.monotonic()
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], Row] = {}
        self._fetched: dict[str, int] = {}
        self._exceptions: set[str] = set()
        self._ends: deque[End] = deque(maxlen=RECENT_ENDS)
        self._number = 0

    def fetched(self, queue: str) -> None:
        """A message was taken, whatever it holds."""
        with self._lock:
            if queue not in self._fetched and len(self._fetched) >= MOST_QUEUES:
                queue = OTHER
            self._fetched[queue] = self._fetched.get(queue, 0) + 1

    def begin(self, name: str, queue: str) -> Life:
        """A message that is a task's."""
        with self._lock:
            return Life(self._row(name, queue))

    def received(self, life: Life) -> None:
        """The worker has it."""
        with self._lock:
            life.row.counts["received"] += 1

    def started(self, life: Life, *, wait_seconds: float | None) -> None:
        """It runs."""
        with self._lock:
            life.row.counts["started"] += 1
            life.wait_seconds = wait_seconds
            if wait_seconds is not None:
                life.row.waits.observe(wait_seconds)

    def ended(self, life: Life, kind: str, *, ran_seconds: float | None) -> None:
        """It came to an end, perhaps not the first: what fails can be rejected then."""
        with self._lock:
            row = life.row
            row.counts[kind] += 1
            if life.is_ended:
                return
            life.is_ended = True
            row.ended += 1
            if ran_seconds is not None:
                self._number += 1
                self._ends.append(
                    End(self._number, row.name, row.queue, ran_seconds, life.wait_seconds)
                )

    def succeeded(self, life: Life, *, runtime_seconds: float) -> None:
        """How long a task ran that has succeeded."""
        with self._lock:
            life.row.runtimes.observe(runtime_seconds)

    def raised(self, life: Life, exception: str) -> None:
        """The class of the exception that a task failed with."""
        with self._lock:
            if exception not in self._exceptions:
                if len(self._exceptions) >= MOST_EXCEPTIONS:
                    exception = OTHER
                else:
                    self._exceptions.add(exception)
            failures = life.row.failures
            failures[exception] = failures.get(exception, 0) + 1

    def as_dict(self, *, after: int) -> dict[str, Any]:
        """For JSON, with the tasks that have ended after that number."""
        with self._lock:
            return {
                "start": self.start,
                "seconds": round(time.monotonic() - self._started_at, 3),
                "fetched": self._fetched.copy(),
                "tasks": [row.as_dict() for row in self._rows.values()],
                "ended": {"last": self._number, "tasks": self._ended_after(after)},
            }

    def _row(self, name: str, queue: str) -> Row:
        key = (name, queue)
        if key not in self._rows and len(self._rows) >= MOST_ROWS:
            key = (OTHER, OTHER)
        return self._rows.get(key) or self._rows.setdefault(key, Row(*key))

    def _ended_after(self, number: int) -> list[End]:
        # A number that was not reached is one of the worker's before it was restarted.
        new = self._number - (number if number <= self._number else 0)
        return list(islice(self._ends, max(0, len(self._ends) - new), None))


def _as_dict(histogram: Histogram) -> dict[str, Any]:
    return {"counts": histogram.counts(), "sum": histogram.sum_seconds}
