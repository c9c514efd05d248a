"""The arithmetic of a run: what was to be done, what the ledger says, and what is missing.

No database, no clock, no Celery: `shop.runs` fetches the records that this module counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

SUCCEEDED, FAILED = "succeeded", "failed"
UNSENT, BLOCKED = "unsent", "blocked"
# The states from which a task cannot come to succeed.
FINAL = frozenset({FAILED, BLOCKED})


@dataclass(frozen=True)
class Expected:
    """A task that a run must see done. `needs` are the tasks that must succeed before it."""

    task_id: str
    name: str
    queue: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the ledger knows of one task. A time that is not known is None, never zero."""

    task_id: str
    name: str
    queue: str
    group: str = ""
    state: str = "sent"
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    retries: int = 0
    starts: int = 0
    duplicates: int = 0
    reason: str = ""

    @property
    def seconds(self) -> float | None:
        """The time from sending to success."""
        if self.state != SUCCEEDED or not self.sent_at or not self.finished_at:
            return None
        return (self.finished_at - self.sent_at).total_seconds()


@dataclass(frozen=True)
class Account:
    """The expected tasks of a run beside the ledger's records of it."""

    expected: Mapping[str, Expected] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)

    @classmethod
    def of(cls, expected: Iterable[Expected], records: Iterable[Record]) -> "Account":
        """Make an account from both lists."""
        return cls({e.task_id: e for e in expected}, {r.task_id: r for r in records})

    def progress(self) -> dict[str, int]:
        """Return how many tasks were sent, are done, failed, were retried and are expected."""
        records = self.records.values()
        return {
            "sent": sum(record.sent_at is not None for record in records),
            "done": sum(record.state == SUCCEEDED for record in records),
            "failed": sum(record.state == FAILED for record in records),
            "retried": sum(record.retries > 0 for record in records),
            "expected": len(self._task_ids()),
        }

    def undone(self) -> list[dict[str, str]]:
        """Return every task that has not succeeded, with its state and the reason."""
        states = {task_id: self.state(task_id) for task_id in self._task_ids()}
        return [self._line(key, state) for key, state in states.items() if state != SUCCEEDED]

    def rows(self) -> list[dict[str, Any]]:
        """Return one line of figures for each queue, worker group and task name."""
        lines: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for record in self.records.values():
            lines[record.queue, record.group, record.name].append(record)
        return [_row(*key, records) for key, records in sorted(lines.items())]

    def state(self, task_id: str) -> str:
        """Return the ledger's state of a task, or why the ledger has none."""
        if record := self.records.get(task_id):
            return record.state
        return BLOCKED if self._failed_needs(task_id) else UNSENT

    def _failed_needs(self, task_id: str) -> list[str]:
        needs = self.expected[task_id].needs
        return [need for need in needs if self.state(need) in FINAL]

    def _task_ids(self) -> list[str]:
        """Return the expected tasks, then those which came along, such as error handlers."""
        return list(dict.fromkeys([*self.expected, *self.records]))

    def _line(self, task_id: str, state: str) -> dict[str, str]:
        task = self.records.get(task_id) or self.expected[task_id]
        return {
            "task_id": task_id,
            "task": task.name,
            "queue": task.queue,
            "state": state,
            "reason": self._reason(task_id, state),
        }

    def _reason(self, task_id: str, state: str) -> str:
        if state == BLOCKED:
            return f"needs {', '.join(self._failed_needs(task_id))}, which failed"
        if state == UNSENT:
            return "the broker has not accepted it"
        return self.records[task_id].reason


def _row(queue: str, group: str, name: str, records: list[Record]) -> dict[str, Any]:
    seconds = [record.seconds for record in records if record.seconds is not None]
    return {
        "queue": queue,
        "group": group,
        "task": name,
        "sent": sum(record.sent_at is not None for record in records),
        "starts": sum(record.starts for record in records),
        "done": sum(record.state == SUCCEEDED for record in records),
        "failed": sum(record.state == FAILED for record in records),
        "retried": sum(record.retries for record in records),
        "duplicates": sum(record.duplicates for record in records),
        "p50_seconds": round(median(seconds), 3) if seconds else None,
        "max_seconds": round(max(seconds), 3) if seconds else None,
    }
