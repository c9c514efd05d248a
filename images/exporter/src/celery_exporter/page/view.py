"""What the templates show: an overview with what is concluded from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from celery_exporter.overview import GroupStatus, Overview, QueueStatus, ScaleEvent
from celery_exporter.page.charts import Chart, chart

#: More would push what is below out of sight, and nobody reads them.
MAX_EVENTS = 12


class Verdict(StrEnum):
    """What has become of a promised wait."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """A row of the queues."""

    anchor: str
    status: QueueStatus
    verdict: Verdict
    #: How much of the promised wait is used up, at most 1; None where that cannot be said.
    share: float | None
    waiting: Chart
    oldest: Chart


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """A row of the worker groups."""

    status: GroupStatus
    scaled: bool
    #: Whether replicas are to be added (1), to be taken away (-1), or neither (0).
    direction: int
    replicas: Chart


@dataclass(frozen=True, kw_only=True)
class View:
    """The page."""

    at: float
    problems: Sequence[str]
    queues: Sequence[QueueView]
    groups: Sequence[GroupView]
    events: Sequence[ScaleEvent]
    older_events: int

    def with_verdict(self, verdict: str) -> Sequence[QueueView]:
        """The queues whose promise this has become of."""
        return [queue for queue in self.queues if queue.verdict == verdict]

    @property
    def promises(self) -> int:
        """How many queues have a promised wait."""
        return len(self.queues) - len(self.with_verdict(Verdict.NONE))

    @property
    def graves(self) -> Sequence[QueueStatus]:
        """The queues that have dead letters."""
        return [queue.status for queue in self.queues if queue.status.dead_letters]

    @property
    def unknown_graves(self) -> int:
        """Of how many queues nobody knows whether they have dead letters."""
        return sum(queue.status.dead_letters is None for queue in self.queues)


def view(overview: Overview) -> View:
    """Conclude what is to be shown."""
    return View(
        at=overview.at,
        problems=overview.problems,
        queues=[_queue(overview, at, queue) for at, queue in enumerate(overview.queues, 1)],
        groups=[_group(overview, group) for group in overview.groups],
        events=overview.events[:MAX_EVENTS],
        older_events=max(0, len(overview.events) - MAX_EVENTS),
    )


def verdict_of(queue: QueueStatus) -> Verdict:
    """Judge by the oldest message; where none waits, none waits too long."""
    if queue.promised_seconds is None:
        return Verdict.NONE
    if queue.oldest_seconds is None:
        return Verdict.KEPT if queue.waiting == 0 else Verdict.UNKNOWN
    return Verdict.KEPT if queue.oldest_seconds <= queue.promised_seconds else Verdict.BROKEN


def _queue(overview: Overview, number: int, queue: QueueStatus) -> QueueView:
    samples = overview.queue_samples.get(queue.name, ())
    return QueueView(
        anchor=f"queue-{number}",
        status=queue,
        verdict=verdict_of(queue),
        share=_share(queue),
        waiting=chart([(each.at, each.waiting) for each in samples], now=overview.at),
        oldest=chart(
            [(each.at, _age(each.waiting, each.oldest_seconds)) for each in samples],
            now=overview.at,
            limit=queue.promised_seconds,
        ),
    )


def _age(waiting: int | None, oldest_seconds: float | None) -> float | None:
    """Nothing that waits has waited for no time; what is not known stays so."""
    return 0 if waiting == 0 else oldest_seconds


def _share(queue: QueueStatus) -> float | None:
    age = _age(queue.waiting, queue.oldest_seconds)
    if not queue.promised_seconds or age is None:
        return None
    return min(age / queue.promised_seconds, 1.0)


def _group(overview: Overview, group: GroupStatus) -> GroupView:
    samples = overview.group_samples.get(group.name, ())
    return GroupView(
        status=group,
        scaled=group.max_replicas is not None,
        direction=_direction(group),
        replicas=chart(
            [(each.at, each.replicas) for each in samples],
            beside=[(each.at, each.desired) for each in samples],
            now=overview.at,
        ),
    )


def _direction(group: GroupStatus) -> int:
    if group.desired is None or group.replicas is None:
        return 0
    return (group.desired > group.replicas) - (group.desired < group.replicas)
