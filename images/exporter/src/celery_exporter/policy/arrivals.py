"""How many tasks arrive: a rate that a burst does not raise, and the highest of late."""

from collections import deque

#: How often a count is taken.
COUNT_SECONDS = 5.0
#: The rate is that of the last minute, the peak that of the last ten.
RATE_COUNTS = 12
PEAK_COUNTS = 120


class Arrivals:
    """The counts of the last ten minutes, one for every five seconds.

    The rate leaves the highest count out. A burst is no rate: what waits of it is in the backlog,
    and slots for more of the same would be idle as soon as it is done.
    """

    def __init__(self) -> None:
        self._counts: deque[int] = deque(maxlen=PEAK_COUNTS)

    def add(self, count: int) -> None:
        """Remember how many arrived in the last five seconds."""
        self._counts.append(count)

    @property
    def per_second(self) -> float | None:
        """Over the last minute; None until there are two counts."""
        recent = sorted(list(self._counts)[-RATE_COUNTS:])[:-1]
        return sum(recent) / len(recent) / COUNT_SECONDS if recent else None

    @property
    def peak_per_second(self) -> float | None:
        """The highest that was counted."""
        return max(self._counts) / COUNT_SECONDS if self._counts else None
