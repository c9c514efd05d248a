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
    #: Messages that have died, and that RabbitMQ has not moved to the dead letters yet.
    held_dead: int | None = None
    #: RabbitMQ's nodes that hold a copy of it, and those of them that are there.
    members: int | None = None
    online_members: int | None = None
    #: The ids of the tasks at the head: the next of each priority.
    heads: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All queues that could be read; why the others could not."""

    depths: Mapping[str, Depth] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    #: What workers hold of all queues together, where it is not known for each.
    unacked: int | None = None
    #: Of RabbitMQ's queues for countdowns: messages whose time has come, and that are still there.
    held_delayed: Mapping[str, int] = field(default_factory=dict)


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
class Ended:
    """A task that has run to whatever end."""

    name: str
    queue: str
    runtime_seconds: float
    #: From its sending to its start; None where that is not known, or was meant to be.
    wait_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How many durations fell below each bound of their histogram, and their sum."""

    counts: Sequence[int]
    sum_seconds: float


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What became of tasks of one name from one queue."""

    name: str
    queue: str
    #: By what became of them, in the words of Celery's events.
    counts: Mapping[str, int]
    #: Each task once.
    ended: int
    #: By the class of the exception.
    failures: Mapping[str, int]
    runtimes: Durations
    waits: Durations


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker says of itself, by its own endpoint."""

    #: Its name, as Celery has it.
    worker: str = ""
    #: Another after each start: then all that it counts begins anew.
    start: str = ""
    slots: int
    #: It was told to stop, and takes nothing new.
    draining: bool
    queues: Sequence[str] = ()
    running: Sequence[Running]
    #: Messages that it has taken from each queue since it started.
    fetched: Mapping[str, int]
    #: The latest that have ended since it was asked before, and all that was counted since then.
    ended: Sequence[Ended] = ()
    counted: Sequence[Counted] = ()


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
