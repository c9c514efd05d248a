"""Counters of tasks by name, worker and queue."""

from dataclasses import dataclass, field

from celery_exporter.labels import labels
from celery_exporter.state.vocabulary import OTHER

SENT, RECEIVED, STARTED, SUCCEEDED, FAILED, REJECTED, REVOKED, RETRIED = range(8)
#: Each counter's name, in that order.
KINDS = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")
#: The host in rows of what was sent, and of everything without series by worker.
NOWHERE = ""


@dataclass(slots=True)
class Row:
    """The counters of one task name on one host from one queue."""

    name: str
    host: str
    queue: str
    counts: list[int] = field(default_factory=lambda: [0] * len(KINDS))
    #: Failures by the class of the exception.
    failures: dict[str, int] = field(default_factory=dict)
    #: As Prometheus reads them; made once, as each scrape asks for them eight times.
    labels: str = field(init=False)

    def __post_init__(self) -> None:
        self.labels = labels(name=self.name, hostname=self.host, queue_name=self.queue)


class Rows:
    """All rows, up to a cap; what finds no room shares one row."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._rows: dict[tuple[str, str, str], Row] = {}
        #: How many rows found no room.
        self.capped = 0

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, name: str, host: str, queue: str) -> Row:
        """The row of these labels."""
        row = self._rows.get((name, host, queue))
        return row if row is not None else self._add(name, host, queue)

    def all(self) -> list[Row]:
        """The rows of this moment."""
        return list(self._rows.values())

    def drop(self, hosts: set[str]) -> None:
        """Forget hosts."""
        for key in [key for key in self._rows if key[1] in hosts]:
            del self._rows[key]

    def _add(self, name: str, host: str, queue: str) -> Row:
        if len(self._rows) >= self._most:
            self.capped += 1
            name, host, queue = OTHER, host and OTHER, OTHER
        return self._rows.setdefault((name, host, queue), Row(name, host, queue))
