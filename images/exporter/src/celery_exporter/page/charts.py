"""The last hour as the outlines of a small chart, a step for each minute.

A minute shows the highest that was seen in it: that is what somebody waited. What was not known
leaves a gap; it is never drawn as zero, nor bridged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MINUTES = 60
#: In the chart's own units; the style sheet says how large it is shown.
MINUTE_WIDTH = 3
WIDTH = MINUTES * MINUTE_WIDTH
HEIGHT = 36
#: So that a line at the top or at the bottom is as thick as any.
MARGIN = 2
#: What a chart reaches at least, so that a single task now and then does not look like a storm.
LEAST_TOP = 4

#: A moment and what was seen then.
Point = tuple[float, float | None]
#: Minutes without a gap: the number of the first, and the highest of each.
_Run = tuple[int, list[float]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One value over the last hour, and a second one or a limit to compare it with."""

    #: The outline of what was seen, and the same closed down to zero.
    line: str
    area: str
    #: The second value, or the limit, as a line.
    beside: str
    #: None where nothing was known.
    peak: float | None
    #: Minutes of the hour that nothing is known of.
    unknown_minutes: int


def chart(
    points: Iterable[Point],
    *,
    now: float,
    beside: Iterable[Point] = (),
    limit: float | None = None,
) -> Chart:
    """The hour until now; whatever is compared shares one scale, which begins at zero."""
    minutes, others = _minutes(points, now=now), _minutes(beside, now=now)
    known = [value for value in minutes if value is not None]
    top = max([*known, *(value for value in others if value is not None), limit or 0, LEAST_TOP])
    runs = _runs(minutes)
    return Chart(
        line="".join(_line(run, top) for run in runs),
        area="".join(_area(run, top) for run in runs),
        beside=_rule(limit, top) if limit else "".join(_line(run, top) for run in _runs(others)),
        peak=max(known, default=None),
        unknown_minutes=minutes.count(None),
    )


def _minutes(points: Iterable[Point], *, now: float) -> list[float | None]:
    """The highest of each minute by the clock, so that a minute that is over changes no more."""
    highest: list[float | None] = [None] * MINUTES
    first = int(now // 60) - MINUTES + 1
    for at, value in points:
        minute = int(at // 60) - first
        if value is not None and 0 <= minute < MINUTES:
            highest[minute] = max(value, highest[minute] or 0)
    return highest


def _runs(minutes: Sequence[float | None]) -> list[_Run]:
    runs: list[_Run] = []
    after_gap = True
    for number, value in enumerate(minutes):
        if value is not None and after_gap:
            runs.append((number, [value]))
        elif value is not None:
            runs[-1][1].append(value)
        after_gap = value is None
    return runs


def _line(run: _Run, top: float) -> str:
    first, values = run
    steps = [f"M{first * MINUTE_WIDTH} {_y(values[0], top)}"]
    for number, (value, following) in enumerate(pairwise(values), first + 1):
        if value != following:
            steps.append(f"H{number * MINUTE_WIDTH}V{_y(following, top)}")
    return "".join([*steps, f"H{(first + len(values)) * MINUTE_WIDTH}"])


def _area(run: _Run, top: float) -> str:
    return f"{_line(run, top)}V{HEIGHT}H{run[0] * MINUTE_WIDTH}Z"


def _rule(value: float, top: float) -> str:
    return f"M0 {_y(value, top)}H{WIDTH}"


def _y(value: float, top: float) -> str:
    return f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / top:.1f}".removesuffix(".0")
