"""Which dead messages are meant."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery_runtime.deadletter.record import DeadMessage

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Selection:
    """All conditions that are set must hold."""

    ids: frozenset[str] = frozenset()
    task: str | None = None
    reason: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    def __bool__(self) -> bool:
        return self != Selection()

    def matches(self, dead: DeadMessage, now: datetime) -> bool:
        """Whether a message is meant; one of unknown age is neither old nor new."""
        return (
            (not self.ids or dead.id in self.ids)
            and self.task in (None, dead.task)
            and self.reason in (None, dead.reason)
            and self._has_age(dead, now)
        )

    def _has_age(self, dead: DeadMessage, now: datetime) -> bool:
        if self.older_than is None and self.newer_than is None:
            return True
        if dead.at is None:
            return False
        age = now - dead.at
        return (self.older_than is None or age > self.older_than) and (
            self.newer_than is None or age < self.newer_than
        )


def duration(text: str) -> timedelta:
    """A duration as in 90s, 15m, 2h or 7d.

    Raises:
        ValueError: it is none.

    """
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found:
        raise ValueError(f"{text!r} is no duration. Write it as in 90s, 15m, 2h or 7d.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
