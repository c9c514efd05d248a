"""What it costs to lose a pod: pure."""

import math
from collections.abc import Mapping

from celery_exporter.readings import Pod
from celery_exporter.scaling import Plan

IDLE = 0
#: More than any that is known: 2**62 seconds of work.
UNKNOWN = 64


def changes(plans: Mapping[str, Plan]) -> dict[str, int]:
    """The pods whose cost is another than Kubernetes has, where a group is about to shrink."""
    shrinking = [plan for plan in plans.values() if _shrinks(plan)]
    pods = [pod for plan in shrinking for pod in plan.pods or () if not pod.stopping]
    return {pod.name: cost for pod in pods if (cost := cost_of(pod)) != pod.deletion_cost}


def cost_of(pod: Pod) -> int:
    """By the work that would be lost, in doublings: it does not change every second."""
    if pod.work is None:
        return UNKNOWN
    if not pod.work.running:
        return IDLE
    at_risk_seconds = sum(max(task.seconds, 0.0) for task in pod.work.running)
    return min(1 + int(math.log2(1 + at_risk_seconds)), UNKNOWN)


def _shrinks(plan: Plan) -> bool:
    if plan.decision is None or plan.seen is None:
        return False
    return plan.decision.replicas < plan.seen.replicas
