"""From what is known of a group's queues and pods to what the policy looks at."""

import math
from collections.abc import Mapping, Sequence

from celery_exporter.groups import Group
from celery_exporter.policy import Arrivals, Observation, ServiceTimes
from celery_exporter.policy.decision import LONG_TASK_SECONDS
from celery_exporter.readings import Pod

#: What a product of shares may be off by.
_ROUNDING = 1e-9


def shares(queue: str, groups: Sequence[Group], replicas: Mapping[str, int]) -> dict[str, float]:
    """How much of a queue each group answers for: as it could have slots, of all that there are.

    A group that is not scaled has the slots of the pods that it has.
    """
    weights = {
        group.name: group.slots * _pods(group, replicas)
        for group in groups
        if queue in group.queues
    }
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 1 / len(weights)) if weights else {}
    return {name: weight / total for name, weight in weights.items()}


def part(messages: int, share: float) -> int:
    """A group's part of a backlog, rounded up: what waits alone wakes each who may take it."""
    return math.ceil(messages * share - _ROUNDING)


def observe(
    pods: Sequence[Pod],
    *,
    backlog: int | None,
    oldest_wait_seconds: float | None,
    arrivals: Arrivals,
    service: ServiceTimes,
) -> Observation:
    """What the policy looks at, from a group's pods and its part of the queues."""
    active = [pod for pod in pods if not pod.stopping]
    long = [
        pod.name
        for pod in active
        for task in (pod.work.running if pod.work else ())
        if task.seconds >= LONG_TASK_SECONDS
    ]
    return Observation(
        replicas=len(active),
        ready_replicas=sum(pod.ready for pod in active),
        backlog=backlog,
        oldest_wait_seconds=None if backlog is None else oldest_wait_seconds,
        running=running(active),
        long_running=len(long),
        held_replicas=len(set(long)),
        arrivals_per_second=None if backlog is None else arrivals.per_second,
        peak_arrivals_per_second=arrivals.peak_per_second,
        service=service,
    )


def running(pods: Sequence[Pod]) -> int | None:
    """How many tasks run on pods; None where one of them does not tell."""
    counts = [None if pod.work is None else len(pod.work.running) for pod in pods]
    return None if None in counts else sum(count for count in counts if count is not None)


def _pods(group: Group, replicas: Mapping[str, int]) -> int:
    return group.autoscaling.max_replicas if group.autoscaling else replicas.get(group.name, 0)
