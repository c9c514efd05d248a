"""The worker groups of the release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The worker groups of a release; none where nothing is mounted."""

    namespace: str = ""
    by_name: Mapping[str, Group] = field(default_factory=dict)
