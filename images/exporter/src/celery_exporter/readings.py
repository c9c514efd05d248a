"""What broker, Kubernetes and workers say, and what they do not: unknown is never zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One queue; None is what this broker does not tell, or not now."""

    ready: int
    unacked: int | None = None
    consumers: int | None = None
    #: The ids of the tasks at the head: the next of each priority.
    heads: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All queues that could be read; why the others could not."""

    depths: Mapping[str, Depth] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    #: What workers hold of all queues together, where it is not known for each.
    unacked: int | None = None


class Broker(Protocol):
    """A broker that can be asked how full its queues are."""

    def read(self, queues: Sequence[str]) -> Reading:
        """Ask about queues; raises when the broker is away."""

    def close(self) -> None:
        """Give the connection up, whatever its state."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A task that a worker runs."""

    name: str
    queue: str
    #: For how long.
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker says of itself, by its own endpoint."""

    slots: int
    #: It was told to stop, and takes nothing new.
    draining: bool
    running: Sequence[Running]
    #: Messages that it has taken from each queue since it started.
    fetched: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod of a worker group, as Kubernetes and the worker in it tell."""

    name: str
    group: str
    ready: bool
    #: It is being deleted, or its worker drains.
    stopping: bool
    #: From its creation until it was first ready; None where it has not been yet.
    start_seconds: float | None
    deletion_cost: int
    #: None where its worker did not answer.
    work: Work | None
