"""The page /work of a worker, read strictly: whoever answers on its port may say anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from celery_exporter.fleet.asking import UnansweredError
from celery_exporter.readings import Counted, Durations, Ended, Running
from celery_runtime.health.histogram import RUNTIME_BOUNDS_SECONDS, WAIT_BOUNDS_SECONDS
from celery_runtime.health.tally import KINDS

#: More is no count and no duration.
MOST = 10**15

T = TypeVar("T")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a worker says of itself."""

    worker: str
    start: str
    #: Since it started.
    seconds: float
    slots: int
    draining: bool
    queues: tuple[str, ...]
    running: tuple[Running, ...]
    fetched: Mapping[str, int]
    #: Since it started, by name and queue.
    tasks: Mapping[tuple[str, str], Counted]
    #: The number of the task that ended last, and those after the one that was asked for.
    last: int
    ended: Mapping[int, Ended]


def parse(body: bytes) -> Page:
    """The page.

    Raises:
        UnansweredError: it is not what a worker writes.

    """
    try:
        return _page(orjson.loads(body))
    except (KeyError, TypeError, ValueError) as error:
        raise UnansweredError(f"not the page of a worker: {error!r:.200}") from error


def _page(answer: Any) -> Page:  # noqa: ANN401 # JSON
    counted = [_counted(each) for each in _list(answer["tasks"])]
    return Page(
        worker=_of(str, answer["worker"]),
        start=_of(str, answer["start"]),
        seconds=_seconds(answer["seconds"]),
        slots=_count(answer["slots"]),
        draining=_of(bool, answer["draining"]),
        queues=tuple(_of(str, queue) for queue in _list(answer["queues"])),
        running=tuple(_running(each) for each in _list(answer["running"])),
        fetched=_counts(answer["fetched"]),
        tasks={(each.name, each.queue): each for each in counted},
        last=_count(answer["ended"]["last"]),
        ended=dict(_ended(each) for each in _list(answer["ended"]["tasks"])),
    )


def _counted(row: Any) -> Counted:  # noqa: ANN401
    return Counted(
        name=_of(str, row["name"]),
        queue=_of(str, row["queue"]),
        counts=dict(zip(KINDS, _all_counts([row[kind] for kind in KINDS]), strict=True)),
        ended=_count(row["ended"]),
        failures=_counts(row["failures"]),
        runtimes=_durations(row["runtime"], len(RUNTIME_BOUNDS_SECONDS)),
        waits=_durations(row["wait"], len(WAIT_BOUNDS_SECONDS)),
    )


def _durations(histogram: Any, bounds: int) -> Durations:  # noqa: ANN401
    counts = tuple(_all_counts(_list(histogram["counts"])))
    if len(counts) != bounds + 1:
        raise ValueError(f"a histogram of {len(counts)} counts for {bounds} bounds")
    return Durations(counts=counts, sum_seconds=_seconds(histogram["sum"]))


def _running(each: Any) -> Running:  # noqa: ANN401
    name, queue, seconds = each
    return Running(name=_of(str, name), queue=_of(str, queue), seconds=_seconds(seconds))


def _ended(each: Any) -> tuple[int, Ended]:  # noqa: ANN401
    number, name, queue, runtime, wait = each
    return _count(number), Ended(
        name=_of(str, name),
        queue=_of(str, queue),
        runtime_seconds=_seconds(runtime),
        wait_seconds=None if wait is None else _seconds(wait),
    )


def _list(value: object) -> list[Any]:
    return _of(list, value)


def _counts(value: Any) -> dict[str, int]:  # noqa: ANN401
    counts: dict[str, Any] = _of(dict, value)
    return {name: _count(count) for name, count in counts.items()}


def _all_counts(values: list[Any]) -> list[int]:
    # At once: a page of twenty tasks has seven hundred of them.
    if set(map(type, values)) != {int} or min(values) < 0 or max(values) > MOST:
        raise ValueError(f"{values} are no counts")
    return values


def _count(value: object) -> int:
    return _bounded(_of(int, value))


def _seconds(value: object) -> float:
    return _bounded(float(value) if type(value) is int else _of(float, value))


def _bounded(number: Number) -> Number:
    if not 0 <= number <= MOST:
        raise ValueError(f"{number} is out of range")
    return number


def _of(kind: type[T], value: object) -> T:
    # Not isinstance: true is no number.
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value
