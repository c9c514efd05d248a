"""What is remembered of a task before a worker has it, and for a while after its end."""

from typing import NamedTuple

from celery_exporter.state.queues import QueueCounts


class Sent(NamedTuple):
    """A task that was sent."""

    at: float
    name: str
    queue: QueueCounts
    #: It has an ETA or a countdown, and waits rightly.
    delayed: bool


class Ended(NamedTuple):
    """A task that has ended: how, where, and when by its worker's clock."""

    kind: int
    hostname: str
    timestamp: float | None
    name: str
    queue: QueueCounts
