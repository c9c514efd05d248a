"""The worker groups of the release."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Autoscaling:
    """Within which limits a group is scaled, and the wait that it promises."""

    min_replicas: int
    max_replicas: int
    queue_wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """One Deployment of workers."""

    name: str
    queues: Sequence[str]
    #: Tasks that a pod runs at once.
    slots: int
    max_task_seconds: float
    #: None where the group is watched and not scaled.
    autoscaling: Autoscaling | None
