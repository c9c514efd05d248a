"""From what was seen of a worker group to the replicas that keep its promised queue wait.

The slots that a group needs are the sum of three parts:

- a slot for each task that has run for so long that it will not end soon;
- what the tasks that arrive keep busy (Little's law), each counted up to that same length;
- what starts the whole backlog before its oldest message has waited as long as was promised. A
  slot that is busy for s seconds with a task starts 1 + T / s of them within T.

Replicas react within one period of the HPA and the start of a pod. Where that is shorter than the
promised wait, a burst may wait for them, and nothing is kept in reserve. Where it is longer, a
burst as high as the highest of late has to find enough slots to start within the promise until
more come: the part of it that cannot wait.
"""

import math
from dataclasses import dataclass, replace

from celery_exporter.policy.service import ServiceTimes

#: How often the HPA asks, and so how late it may act on what is told.
HPA_PERIOD_SECONDS = 15.0
#: How late the scaler may see a message.
DETECTION_SECONDS = 1.0
#: A task that has run for so long holds its slot; one that has not is about to end.
LONG_TASK_SECONDS = HPA_PERIOD_SECONDS
#: What is needed has to fall so far below what is there before replicas go. Estimates of the
#: rate of a steady load differ by less from one period to the next.
SCALE_IN_MARGIN = 0.1
HIGHEST_PATIENCE = 1.25
#: How much of the promised wait is planned with; the rest is for what nobody can know: that some
#: tasks take longer than the mean, and some pods longer to start.
PLANNED_WAIT = 0.8


@dataclass(frozen=True, kw_only=True)
class Group:
    """What its user said of a worker group."""

    min_replicas: int
    max_replicas: int
    slots_per_replica: int
    queue_wait_seconds: float
    pod_start_seconds: float
    max_task_seconds: float

    @property
    def reaction_seconds(self) -> float:
        """From a message that needs a new pod until that pod can take it, at the longest."""
        return DETECTION_SECONDS + HPA_PERIOD_SECONDS + self.pod_start_seconds


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen of a worker group. None is what could not be seen; unknown is never zero.

    Pods that are being stopped are not in it, nor what they still run: they take nothing new.
    """

    #: Pods that were asked for, ready or not.
    replicas: int
    ready_replicas: int
    #: Messages that wait for a worker.
    backlog: int | None
    #: Since when the first of them has waited.
    oldest_wait_seconds: float | None
    #: Tasks that run.
    running: int | None
    #: Those of them that have run for `LONG_TASK_SECONDS`, and the pods that they are on.
    long_running: int
    held_replicas: int
    #: As `Arrivals` counts them: over the last minute, and the highest in the last ten minutes.
    arrivals_per_second: float | None
    peak_arrivals_per_second: float | None
    service: ServiceTimes


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Replicas, and why: a word for a metric's label and a sentence for people."""

    replicas: int
    reason: str
    sentence: str


def decide(group: Group, seen: Observation) -> Decision:
    """The replicas that keep the promised wait; where something is unknown, never fewer."""
    unknown = _unknown(seen)
    wanted = max(_demand(group, seen), _running(group, seen), key=_replicas)
    if unknown and wanted.replicas <= seen.replicas:
        wanted = Decision(
            replicas=seen.replicas,
            reason="unknown",
            sentence=f"Unknown: {', '.join(unknown)}. Nothing is scaled in until it is known.",
        )
    return _bounded(group, wanted)


def _replicas(decision: Decision) -> int:
    return decision.replicas


def _unknown(seen: Observation) -> list[str]:
    values = {
        "backlog": seen.backlog,
        "running tasks": seen.running,
        "arrival rate": seen.arrivals_per_second,
    }
    return [name for name, value in values.items() if value is None]


def _running(group: Group, seen: Observation) -> Decision:
    pods = math.ceil((seen.running or 0) / group.slots_per_replica)
    return Decision(
        replicas=max(pods, seen.held_replicas),
        reason="running",
        sentence=f"{seen.running or 0} tasks run, long ones on {seen.held_replicas} pods.",
    )


def _demand(group: Group, seen: Observation) -> Decision:
    if not seen.backlog and not seen.running and _may_sleep(group, seen):
        return Decision(replicas=0, reason="idle", sentence="Nothing waits, runs or is due.")
    rate, arrivals_reason = _rate(group, seen)
    flow = rate * _mean_within(group, seen.service, LONG_TASK_SECONDS) / _patience(group)
    backlog = _backlog_slots(group, seen, taken=seen.long_running + flow)
    replicas = _steady(group, seen, flow + backlog)
    return Decision(
        replicas=max(replicas, 1),
        reason="backlog" if backlog > flow else arrivals_reason,
        sentence=(
            f"{backlog:.1f} slots for {seen.backlog or 0} waiting messages, "
            f"{flow:.1f} for {rate:.2f} arrivals a second, {seen.long_running} for long tasks."
        ),
    )


def _may_sleep(group: Group, seen: Observation) -> bool:
    """Whether a pod is cheaper to start at the next message than to keep until then.

    A group that sleeps is woken by a message alone, so that a rate at the edge does not flap.
    """
    wakes_in_time = DETECTION_SECONDS + group.pod_start_seconds < group.queue_wait_seconds
    expected = (seen.arrivals_per_second or 0) * group.pod_start_seconds
    asleep = seen.replicas == 0
    return (asleep or expected < 1) if wakes_in_time else not _rate(group, seen)[0]


def _rate(group: Group, seen: Observation) -> tuple[float, str]:
    """The rate of arrivals to be ready for."""
    rate = seen.arrivals_per_second or 0
    cannot_wait = max(0.0, 1 - group.queue_wait_seconds / group.reaction_seconds)
    burst = (seen.peak_arrivals_per_second or 0) * cannot_wait
    return (burst, "burst") if burst > rate else (rate, "arrivals")


def _patience(group: Group) -> float:
    """How far arrivals may exceed capacity: the wait that grows meanwhile is half of what is left.

    A backlog that grows for longer asks for its own slots. More than `HIGHEST_PATIENCE` would gain
    nothing: it is a part of a pod that is saved by not rounding up.
    """
    spare = max(0.0, group.queue_wait_seconds - group.reaction_seconds)
    return min(1 + spare / 2 / group.reaction_seconds, HIGHEST_PATIENCE)


def _backlog_slots(group: Group, seen: Observation, *, taken: float) -> float:
    """What starts the backlog in time: slots of ready pods at once, others after their start."""
    if not seen.backlog:
        return 0
    waited = HPA_PERIOD_SECONDS if seen.oldest_wait_seconds is None else seen.oldest_wait_seconds
    left = PLANNED_WAIT * group.queue_wait_seconds - max(waited, 0)
    free = max(0.0, seen.ready_replicas * group.slots_per_replica - taken)
    started = _starts(group, seen, left)
    if seen.backlog <= free * started:
        return seen.backlog / started
    later = _starts(group, seen, left - group.pod_start_seconds)
    return free + (seen.backlog - free * started) / later


def _starts(group: Group, seen: Observation, seconds: float) -> float:
    """How many tasks one slot starts within so many seconds."""
    # Where the promise is broken, pods that are sooner done than started make it no better.
    seconds = max(seconds, group.pod_start_seconds, DETECTION_SECONDS)
    return 1 + seconds / _mean_within(group, seen.service, seconds)


def _mean_within(group: Group, service: ServiceTimes, horizon_seconds: float) -> float:
    """What a task takes of a slot; one of a kind that nobody knows, as long as may be waited."""
    if service.known:
        return max(service.mean_within(horizon_seconds), 0.001)
    return min(group.queue_wait_seconds, group.max_task_seconds, horizon_seconds)


def _steady(group: Group, seen: Observation, estimated: float) -> int:
    """Whole replicas for these slots and the long tasks; fewer than there are only by a margin."""
    relaxed = estimated * (1 + SCALE_IN_MARGIN)
    replicas, held = (
        math.ceil((seen.long_running + slots) / group.slots_per_replica)
        for slots in (estimated, relaxed)
    )
    return max(replicas, min(seen.replicas, held))


def _bounded(group: Group, wanted: Decision) -> Decision:
    if wanted.replicas > group.max_replicas:
        return replace(
            wanted,
            replicas=group.max_replicas,
            reason="maximum",
            sentence=f"{wanted.sentence} {wanted.replicas} would be needed.",
        )
    if wanted.replicas < group.min_replicas:
        return replace(wanted, replicas=group.min_replicas, reason="minimum")
    return wanted
