"""What people are shown, from what is planned and what was read."""

from collections.abc import Mapping, Sequence

from celery_exporter.overview import GroupStatus, Overview, QueueStatus
from celery_exporter.readings import Reading
from celery_exporter.scaling.history import History
from celery_exporter.scaling.planner import Plan


def overview(
    plans: Mapping[str, Plan],
    *,
    history: History,
    reading: Reading,
    dead_letters: Mapping[str, str],
    oldest_seconds: Mapping[str, float],
    running: Mapping[str, int],
    problems: Sequence[str],
    at: float,
) -> Overview:
    """The deployment at one moment, with its last hour."""
    promised = promises(plans)
    queues = [
        QueueStatus(
            name=name,
            waiting=_ready(reading, name),
            oldest_seconds=oldest_seconds.get(name),
            running=running.get(name),
            dead_letters=_ready(reading, dead),
            promised_seconds=promised.get(name),
        )
        for name, dead in dead_letters.items()
    ]
    return Overview(
        at=at,
        queues=queues,
        groups=[_group(plan) for plan in plans.values()],
        events=history.events,
        queue_samples=history.queue_samples,
        group_samples=history.group_samples,
        problems=[*problems, *_unread(reading)],
    )


def promises(plans: Mapping[str, Plan]) -> dict[str, float]:
    """The shortest wait that is promised for each queue."""
    shortest: dict[str, float] = {}
    for group in (plan.group for plan in plans.values()):
        if group.autoscaling is None:
            continue
        promised = group.autoscaling.queue_wait_seconds
        for queue in group.queues:
            shortest[queue] = min(promised, shortest.get(queue, promised))
    return shortest


def _group(plan: Plan) -> GroupStatus:
    group, seen, decision = plan.group, plan.seen, plan.decision
    limits = group.autoscaling
    return GroupStatus(
        name=group.name,
        queues=group.queues,
        replicas=seen.replicas if seen else None,
        ready=seen.ready_replicas if seen else None,
        idle=plan.idle,
        running=seen.running if seen else None,
        desired=decision.replicas if decision else None,
        reason=decision.reason if decision else "",
        sentence=decision.sentence if decision else "",
        min_replicas=limits.min_replicas if limits else None,
        max_replicas=limits.max_replicas if limits else None,
        promised_seconds=limits.queue_wait_seconds if limits else None,
    )


def _ready(reading: Reading, queue: str) -> int | None:
    return reading.depths[queue].ready if queue in reading.depths else None


def _unread(reading: Reading) -> list[str]:
    return [f"{queue} cannot be read: {why}" for queue, why in reading.unread.items()]
