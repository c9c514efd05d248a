"""What people are shown of a deployment, at one moment and over the last hour.

None is what is not known. Moments are seconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """One queue."""

    name: str
    waiting: int | None
    oldest_seconds: float | None
    running: int | None
    dead_letters: int | None
    #: The shortest wait that a worker group of this queue promises; None without autoscaling.
    promised_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class GroupStatus:
    """One worker group; its pods without those that are being stopped."""

    name: str
    queues: Sequence[str]
    replicas: int | None
    ready: int | None
    #: Ready pods that run nothing.
    idle: int | None
    running: int | None
    #: None where the group is not scaled by the exporter.
    desired: int | None
    #: The policy's word and its sentence for `desired`.
    reason: str
    sentence: str
    min_replicas: int | None
    max_replicas: int | None
    promised_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class ScaleEvent:
    """A change of what a group is thought to need."""

    at: float
    group: str
    before: int
    after: int
    reason: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class QueueSample:
    """A queue at a moment."""

    at: float
    waiting: int | None
    oldest_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class GroupSample:
    """A worker group at a moment."""

    at: float
    replicas: int | None
    running: int | None
    desired: int | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The deployment."""

    at: float
    queues: Sequence[QueueStatus]
    groups: Sequence[GroupStatus]
    #: The newest first.
    events: Sequence[ScaleEvent]
    #: By queue and by group: at most the last hour, the oldest first.
    queue_samples: Mapping[str, Sequence[QueueSample]]
    group_samples: Mapping[str, Sequence[GroupSample]]
    #: What cannot be read now, a sentence each.
    problems: Sequence[str]
