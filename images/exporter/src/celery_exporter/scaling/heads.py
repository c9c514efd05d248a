"""How long the first message of a queue has waited, where the broker does not tell."""

from collections import deque
from dataclasses import dataclass

#: Beyond it, every second one is left out: a wait of hours needs no second's precision.
MOST_SAMPLES = 4096


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Between these moments the queue came to this position."""

    since: float
    until: float
    position: int


class HeadAge:
    """The age of a queue's head, inferred: what was first in is first out.

    A queue's position is the number of messages that have ever come into it. The head's is the
    number that was taken, and one: it came when the position was reached. Messages that were
    there when the watch began have waited since then, at least. Where messages are purged, those
    are thought to be gone that came last.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._start = 0
        self._seen_at: float | None = None

    def of(self, *, ready: int, taken: int, now: float) -> float:
        """How long the head has waited; 0 where there is none."""
        self._grow(ready + taken, now)
        self._take(taken)
        self._seen_at = now
        return max(0.0, now - self._came_at(taken)) if ready else 0.0

    def _grow(self, position: int, now: float) -> None:
        while self._samples and self._samples[-1].position > position:
            self._samples.pop()
        last = self._samples[-1].position if self._samples else self._start
        if position > last:
            since = now if self._seen_at is None else self._seen_at
            self._samples.append(_Sample(since=since, until=now, position=position))
        if len(self._samples) > MOST_SAMPLES:
            self._thin()

    def _take(self, taken: int) -> None:
        while self._samples and self._samples[0].position <= taken:
            self._start = self._samples.popleft().position
        if not self._samples:
            self._start = taken

    def _came_at(self, taken: int) -> float:
        """When the next to be taken came, if those of one sample came evenly."""
        sample = self._samples[0]
        share = (taken + 1 - self._start) / (sample.position - self._start)
        return sample.since + min(max(share, 0.0), 1.0) * (sample.until - sample.since)

    def _thin(self) -> None:
        samples = list(self._samples)
        pairs = zip(samples[::2], samples[1::2], strict=False)
        merged = [
            _Sample(since=first.since, until=second.until, position=second.position)
            for first, second in pairs
        ]
        self._samples = deque(merged + samples[len(samples) // 2 * 2 :])
