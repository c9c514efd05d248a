"""What is known of workers, and the tasks that they have."""

from collections.abc import Sequence

from celery_exporter.state.queues import QueueCounts
from celery_exporter.state.rows import Row
from celery_exporter.state.tasks import Sent
from celery_exporter.state.vocabulary import MAX_CHARACTERS, OTHER, ForeignError, readable

#: Three answers that did not come, or dozens of heartbeats.
LOST_AFTER_SECONDS = 90.0
#: Long enough for an alert to see that it is down.
FORGOTTEN_AFTER_SECONDS = 600.0


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
        worker: "Worker",
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


class Worker:
    """A worker that was seen."""

    __slots__ = (
        "active",
        "concurrency",
        "host",
        "left",
        "name",
        "queues",
        "running",
        "runs",
        "seen_at",
        "surplus",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.host = host_of(name)
        self.seen_at = 0.0
        #: It has said goodbye.
        self.left = False
        #: By its heartbeat; None when it has sent none.
        self.active: int | None = None
        #: By its own answers; None when it was not asked or did not answer.
        self.concurrency: int | None = None
        self.queues: Sequence[str] | None = None
        #: What it runs, by task id, the oldest first.
        self.running: dict[str, Held] = {}
        #: How much it runs of each queue, by its own word.
        self.runs: dict[QueueCounts, int] = {}
        #: The last heartbeat told of fewer tasks than are known here.
        self.surplus = False

    def up(self, now: float) -> bool:
        """True while it is heard of."""
        return not self.left and now - self.seen_at <= LOST_AFTER_SECONDS

    def run(self, runs: dict[QueueCounts, int]) -> None:
        """Note what it runs now, in the queues' totals, too."""
        for queue, count in self.runs.items():
            queue.running -= count
        for queue, count in runs.items():
            queue.running += count
        self.runs = runs

    def leave(self) -> None:
        """Note that it is gone, and runs nothing."""
        self.left = True
        self.active = None
        self.run({})

    def tasks_active(self) -> int:
        """How many tasks it runs, by its own word where it gives one."""
        return len(self.running) if self.active is None else self.active

    def surplus_after(self, active: int) -> list[str]:
        """Tasks that run here no more, by its word: their end was lost on the way.

        Only at the second heartbeat that says so: a heartbeat overtakes events that its worker
        holds back to send them together.
        """
        surplus = max(0, len(self.running) - active)
        twice, self.surplus = self.surplus and surplus > 0, surplus > 0
        return list(self.running)[:surplus] if twice else []


class Workers:
    """All workers, up to a cap; what finds no room shares one."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self.by_name: dict[str, Worker] = {}
        #: How many events were of a worker that found no room.
        self.capped = 0

    def seen(self, name: object, now: float) -> Worker:
        """The worker of this name, of which something was heard; raises ForeignError."""
        worker: Worker | None = self.by_name.get(name)  # type: ignore[call-overload]  # anything
        if worker is None:
            worker = self._add(name)
        worker.seen_at = now
        return worker

    def lost(self, now: float) -> list[Worker]:
        """Those of which nothing is heard."""
        return [each for each in self.by_name.values() if now - each.seen_at > LOST_AFTER_SECONDS]

    def forget(self, now: float) -> set[str]:
        """Forget those that were lost long ago; returns the hosts that have no other worker."""
        gone = [
            each for each in self.by_name.values() if now - each.seen_at > FORGOTTEN_AFTER_SECONDS
        ]
        for worker in gone:
            del self.by_name[worker.name]
        return {each.host for each in gone} - {each.host for each in self.by_name.values()}

    def _add(self, name: object) -> Worker:
        if not isinstance(name, str):
            raise ForeignError(f"{type(name).__name__} where a worker's name was expected")
        text = readable(name[:MAX_CHARACTERS])
        if text not in self.by_name and len(self.by_name) >= self._most:
            self.capped += 1
            text = OTHER
        return self.by_name.setdefault(text, Worker(text))


def host_of(name: str) -> str:
    """The host in a worker's name: what dashboards know it by."""
    # Never empty: that is the host in rows of what producers sent.
    return name.partition("@")[2] or name or OTHER
