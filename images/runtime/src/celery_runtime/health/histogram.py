"""Counts of durations by buckets."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

#: celery-exporter's buckets, which are those of Prometheus' Python client.
RUNTIME_BOUNDS_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
#: From a worker that was idle to half an hour, the range of celery-exporter.
WAIT_BOUNDS_SECONDS = (
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)


class Histogram:
    """How many durations fell below each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum_seconds")

    def __init__(self, bounds_seconds: Sequence[float]) -> None:
        self._bounds = bounds_seconds
        self._counts = [0] * (len(bounds_seconds) + 1)
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum_seconds += seconds

    def add(self, counts: Sequence[int], sum_seconds: float) -> None:
        """Count durations that another histogram with these bounds has counted."""
        self._counts = [ours + theirs for ours, theirs in zip(self._counts, counts, strict=True)]
        self.sum_seconds += sum_seconds

    def counts(self) -> list[int]:
        """How many fell between each bound and the one before; the last, beyond all."""
        return self._counts.copy()

    def cumulative(self) -> list[int]:
        """For each bound, and for all, how many were not longer."""
        return list(accumulate(self._counts))

    @property
    def bounds_seconds(self) -> Sequence[float]:
        """The upper bounds; what is longer than the last counts too."""
        return self._bounds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)
