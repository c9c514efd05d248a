"""What is remembered of a task while it is under way, and for a while after its end."""

from typing import NamedTuple

from celery_exporter.state.queues import QueueCounts
from celery_exporter.state.rows import Row
from celery_exporter.state.workers import Worker


class Sent(NamedTuple):
    """A task that was sent."""

    at: float
    name: str
    queue: QueueCounts
    #: It has an ETA or a countdown, and waits rightly.
    delayed: bool


class Held:
    """A task that a worker has."""

    __slots__ = (
        "name",
        "queue",
        "receipt_seen",
        "received_at",
        "row",
        "sent",
        "started_at",
        "worker",
    )

    def __init__(
        self,
        name: str,
        worker: Worker,
        queue: QueueCounts,
        row: Row,
        received_at: float,
        sent: Sent | None,
    ) -> None:
        self.name = name
        self.worker = worker
        self.queue = queue
        self.row = row
        self.received_at = received_at
        self.sent = sent
        self.started_at: float | None = None
        self.receipt_seen = True


class Ended(NamedTuple):
    """A task that has ended: how, where, and when by its worker's clock."""

    kind: int
    hostname: str
    timestamp: float | None
    name: str
    queue: QueueCounts
