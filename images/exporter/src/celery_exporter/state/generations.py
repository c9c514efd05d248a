"""Memory for task ids that forgets: when it is full, and with time."""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Generations(Generic[Value]):
    """Two dictionaries, of which the old one is dropped as a whole.

    A dictionary that is emptied from its front looks through all that it has lost each time, and
    an ordered one costs twice on the way in; this costs the same however full it is.
    """

    def __init__(self, *, most: int, keep_seconds: float) -> None:
        self._most_young = most // 2
        self._keep_seconds = keep_seconds
        self._young: dict[str, Value] = {}
        self._old: dict[str, Value] = {}
        self._turned_at: float | None = None
        #: How many were dropped because there were too many.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: str) -> Value | None:
        """What was put there last, if it is still known."""
        value = self._young.get(key)
        return value if value is not None else self._old.get(key)

    def put(self, key: str, value: Value) -> None:
        """Remember."""
        if len(self._young) >= self._most_young:
            self.dropped += len(self._old)
            self._turn()
        self._young[key] = value

    def pop(self, key: str) -> Value | None:
        """What was put there, which is then forgotten."""
        old = self._old.pop(key, None)
        young = self._young.pop(key, None)
        return young if young is not None else old

    def age(self, now: float) -> None:
        """Drop what is older than twice the time to keep."""
        if self._turned_at is None or now - self._turned_at >= self._keep_seconds:
            self._turn()
            self._turned_at = now

    def _turn(self) -> None:
        self._old, self._young = self._young, {}
