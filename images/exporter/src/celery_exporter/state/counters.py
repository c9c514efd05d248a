"""What is counted of tasks, under labels that stay few whatever comes in."""

from celery_exporter.readings import Counted
from celery_exporter.state.limits import Limits
from celery_exporter.state.queues import QueueCounts
from celery_exporter.state.rows import KINDS, NOWHERE, SENT, Row, Rows
from celery_exporter.state.vocabulary import OTHER, Vocabulary
from celery_exporter.state.workers import Worker
from celery_runtime.health.histogram import (
    RUNTIME_BOUNDS_SECONDS,
    WAIT_BOUNDS_SECONDS,
    Histogram,
)

#: By a task's name and its queue's.
Histograms = dict[tuple[str, str], Histogram]


class Counters:
    """Rows, totals, queues and durations; each label's texts are kept up to a cap."""

    def __init__(self, *, default_queue: str, per_worker: bool, limits: Limits) -> None:
        self._per_worker = per_worker
        self._most_names = limits.names
        self.names = Vocabulary(most=limits.names)
        self.queue_names = Vocabulary(most=limits.queues)
        self.exceptions = Vocabulary(most=limits.exceptions)
        self.rows = Rows(most=limits.rows)
        self.queues: dict[str, QueueCounts] = {}
        self.runtimes: Histograms = {}
        self.waits: Histograms = {}
        #: All tasks by what became of them; a worker that is forgotten takes nothing away.
        self.totals = [0] * len(KINDS)
        self.default_queue = self.queue(default_queue)

    @property
    def capped(self) -> dict[str, int]:
        """How often each label found no room and was counted as other."""
        return {
            "name": self.names.capped,
            "queue_name": self.queue_names.capped,
            "exception": self.exceptions.capped,
            "row": self.rows.capped,
        }

    def queue(self, name: object) -> QueueCounts:
        """The queue of this name; raises ForeignError if it is no text."""
        known: QueueCounts | None = self.queues.get(name)  # type: ignore[call-overload]  # anything
        if known is not None:
            return known
        text = self.queue_names.of(name)
        return self.queues.setdefault(text, QueueCounts(text))

    def row(self, name: str, worker: Worker, queue: QueueCounts) -> Row:
        """Where this worker's tasks of a name, from this queue, are counted."""
        return self.rows.of(name, worker.host if self._per_worker else NOWHERE, queue.name)

    def sent(self, name: str, queue: QueueCounts) -> None:
        """Count a task that no worker has yet."""
        self.count(self.rows.of(name, NOWHERE, queue.name), SENT)
        queue.sent += 1

    def count(self, row: Row, kind: int, count: int = 1) -> None:
        """Count what became of tasks."""
        row.counts[kind] += count
        self.totals[kind] += count

    def failed(self, row: Row, exception: str, count: int = 1) -> None:
        """Count what tasks failed with; that they did is counted like all else."""
        row.failures[exception] = row.failures.get(exception, 0) + count

    def observe_runtime(self, name: str, queue: QueueCounts, seconds: float) -> None:
        """Count how long a task ran."""
        self._histogram(self.runtimes, name, queue, RUNTIME_BOUNDS_SECONDS).observe(seconds)

    def observe_wait(self, name: str, queue: QueueCounts, seconds: float) -> None:
        """Count how long a task waited for its start."""
        self._histogram(self.waits, name, queue, WAIT_BOUNDS_SECONDS).observe(seconds)

    def add(self, counted: Counted, worker: Worker) -> None:
        """Count what a worker has counted itself."""
        name, queue = self.names.of(counted.name), self.queue(counted.queue)
        row = self.row(name, worker, queue)
        for kind, count in counted.counts.items():
            self.count(row, KINDS.index(kind), count)
        queue.received += counted.counts["received"]
        queue.ended += counted.ended
        for text, count in counted.failures.items():
            self.failed(row, self.exceptions.of(text), count)
        for histograms, durations, bounds_seconds in (
            (self.runtimes, counted.runtimes, RUNTIME_BOUNDS_SECONDS),
            (self.waits, counted.waits, WAIT_BOUNDS_SECONDS),
        ):
            if any(durations.counts):
                histogram = self._histogram(histograms, name, queue, bounds_seconds)
                histogram.add(durations.counts, durations.sum_seconds)

    def _histogram(
        self,
        histograms: Histograms,
        name: str,
        queue: QueueCounts,
        bounds_seconds: tuple[float, ...],
    ) -> Histogram:
        key = (name, queue.name)
        known = histograms.get(key)
        if known is not None:
            return known
        if len(histograms) >= self._most_names:
            key = (OTHER, OTHER)
        return histograms.setdefault(key, Histogram(bounds_seconds))
