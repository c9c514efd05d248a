"""Whether a figure stays as it is: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean


@dataclass(frozen=True)
class Trend:
    """A figure over time."""

    mean: float
    #: By how much it grows in an hour, and how much that is over the time that was looked at.
    per_hour: float
    growth: float

    def flat(self, *, share: float, least: float) -> bool:
        """Whether it has grown by less than this share of it, or by less than `least`."""
        return self.growth <= max(share * self.mean, least)


def trend(minutes: Sequence[float], figures: Sequence[float]) -> Trend:
    """The line of least squares through what was seen."""
    slope, _ = linear_regression(minutes, figures)
    return Trend(mean(figures), 60 * slope, slope * (minutes[-1] - minutes[0]))
