"""What the events say about one queue."""

from collections import deque

#: Rates are those of the last minute, in steps of five seconds.
WINDOW_SECONDS = 60
SAMPLE_SECONDS = 5


class QueueCounts:
    """Running totals of one queue, and their rates."""

    __slots__ = ("_samples", "ended", "name", "received", "running", "sent", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = 0
        self.received = 0
        self.ended = 0
        self.running = 0
        #: Workers that consume it have said what they run, be it nothing.
        self.told = False
        self._samples: deque[tuple[float, int, int]] = deque()

    def sample(self, now: float) -> None:
        """Remember the totals of this moment."""
        self._samples.append((now, self.sent, self.ended))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()

    def running_tasks(self) -> int | None:
        """How many tasks run; None before any worker has told of a task of this queue."""
        return self.running if self._is_worked else None

    def arrivals_per_second(self) -> float | None:
        """How many tasks are sent; None where producers send no events, and at the start."""
        return self._rate(1) if self.sent else None

    def completions_per_second(self) -> float | None:
        """How many tasks end, in whatever way; None where no worker tells, and at the start."""
        return self._rate(2) if self._is_worked else None

    @property
    def _is_worked(self) -> bool:
        return self.told or bool(self.received or self.running or self.ended)

    def _rate(self, total: int) -> float | None:
        if len(self._samples) < 2:  # a rate has two ends
            return None
        first, last = self._samples[0], self._samples[-1]
        return (last[total] - first[total]) / (last[0] - first[0])
