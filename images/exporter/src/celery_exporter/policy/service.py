"""How long tasks take, remembered in bounded memory and asked for within a horizon."""

import math

#: Where one half of what was seen is forgotten, so that a new kind of task shows soon.
MEMORY_TASKS = 1000
#: With fewer finished tasks than this, how long one takes counts as unknown.
MINIMUM_TASKS = 5

_SMALLEST_SECONDS = 0.001
_BUCKETS_PER_DOUBLING = 2
#: Up to 36 hours. What takes longer is in the last bucket, with its true length in the sum.
_BUCKETS = 54


class ServiceTimes:
    """A histogram of how long tasks ran, by the logarithm, that forgets by halves.

    The mean of all is of no use where one task in twenty takes a thousand times as long as the
    rest: `mean_within` is what a slot is busy with a task before a horizon, which a tail can
    lengthen only up to the horizon, in proportion to how often it occurs.
    """

    def __init__(self) -> None:
        self._counts = [0.0] * _BUCKETS
        self._sums = [0.0] * _BUCKETS
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Remember one finished task. What cannot be a duration is passed over."""
        if not math.isfinite(seconds) or seconds < 0:
            return
        bucket = _bucket(seconds)
        self._counts[bucket] += 1
        self._sums[bucket] += seconds
        self._total += 1
        if self._total >= MEMORY_TASKS:
            self._halve()

    @property
    def known(self) -> bool:
        """Whether enough tasks have finished to say anything."""
        return self._total >= MINIMUM_TASKS

    def mean_within(self, horizon_seconds: float) -> float:
        """The mean of min(duration, horizon): what a task takes of a slot before the horizon."""
        if not self._total:
            raise ValueError("No task has finished yet: ask `known` before.")
        seconds = 0.0
        for count, total in zip(self._counts, self._sums, strict=True):
            seconds += min(total, count * horizon_seconds)
        return seconds / self._total

    def _halve(self) -> None:
        self._counts = [count / 2 for count in self._counts]
        self._sums = [seconds / 2 for seconds in self._sums]
        self._total /= 2


def _bucket(seconds: float) -> int:
    doublings = math.log2(max(seconds, _SMALLEST_SECONDS) / _SMALLEST_SECONDS)
    return min(int(doublings * _BUCKETS_PER_DOUBLING), _BUCKETS - 1)
