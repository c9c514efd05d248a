"""The last hour of a deployment, and the last changes of what its groups need."""

from collections import deque
from collections.abc import Mapping, Sequence

from celery_exporter.overview import GroupSample, QueueSample, ScaleEvent
from celery_exporter.scaling.planner import Plan

SAMPLE_SECONDS = 30
SAMPLES = 3600 // SAMPLE_SECONDS
EVENTS = 50


class History:
    """Bounded by an hour; moments are seconds since the epoch."""

    def __init__(self) -> None:
        self._events: deque[ScaleEvent] = deque(maxlen=EVENTS)
        self._queues: dict[str, deque[QueueSample]] = {}
        self._groups: dict[str, deque[GroupSample]] = {}
        self._desired: dict[str, int] = {}
        self._sampled_at: float | None = None

    def note(self, plans: Mapping[str, Plan], at: float) -> None:
        """Remember what has changed."""
        for name, plan in plans.items():
            decision = plan.decision
            if decision is None:
                continue
            before = self._desired.get(name)
            self._desired[name] = decision.replicas
            if before is not None and before != decision.replicas:
                self._events.appendleft(
                    ScaleEvent(
                        at=at,
                        group=name,
                        before=before,
                        after=decision.replicas,
                        reason=decision.reason,
                        sentence=decision.sentence,
                    )
                )

    def sample_is_due(self, at: float) -> bool:
        """Whether the last sample is old enough; a clock that was set back makes no gap."""
        return self._sampled_at is None or not 0 <= at - self._sampled_at < SAMPLE_SECONDS

    def sample(
        self,
        plans: Mapping[str, Plan],
        *,
        waiting: Mapping[str, int],
        oldest_seconds: Mapping[str, float],
        at: float,
    ) -> None:
        """Remember this moment."""
        self._sampled_at = at
        for name in {*self._queues, *waiting}:
            each = self._queues.setdefault(name, deque(maxlen=SAMPLES))
            age = oldest_seconds.get(name)
            each.append(QueueSample(at=at, waiting=waiting.get(name), oldest_seconds=age))
        for name, plan in plans.items():
            self._groups.setdefault(name, deque(maxlen=SAMPLES)).append(_sample(plan, at))

    @property
    def events(self) -> Sequence[ScaleEvent]:
        """The newest first."""
        return list(self._events)

    @property
    def queue_samples(self) -> Mapping[str, Sequence[QueueSample]]:
        """By queue, the oldest first."""
        return {name: list(samples) for name, samples in self._queues.items()}

    @property
    def group_samples(self) -> Mapping[str, Sequence[GroupSample]]:
        """By group, the oldest first."""
        return {name: list(samples) for name, samples in self._groups.items()}


def _sample(plan: Plan, at: float) -> GroupSample:
    return GroupSample(
        at=at,
        replicas=plan.seen.replicas if plan.seen else None,
        running=plan.seen.running if plan.seen else None,
        desired=plan.decision.replicas if plan.decision else None,
    )
