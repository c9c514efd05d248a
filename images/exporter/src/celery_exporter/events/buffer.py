"""What has come and is not yet counted: bounded, so that a flood costs counts and not the process.

The broker's side is always read first. Redis closes a subscriber that does not read, and RabbitMQ
drops what has waited for five seconds: then nobody would know how much was lost.
"""

from collections import deque
from collections.abc import Iterable, Iterator

#: About 40 MB of usual messages, and several seconds of work.
CAPACITY_MESSAGES = 50_000
#: What the buffer may hold in any case: a task's arguments go into its events.
CAPACITY_BYTES = 64 * 1024 * 1024


class Buffer:
    """Messages with the time when they came; what finds no room is shed, and counted."""

    def __init__(
        self,
        *,
        capacity_messages: int = CAPACITY_MESSAGES,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._capacity_messages = capacity_messages
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._waiting: deque[tuple[float, bytes]] = deque()
        #: How many messages found no room.
        self.shed = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, messages: Iterable[bytes], *, received_at: float) -> None:
        """Add what has come; the newest is shed, so that what is kept has no gap."""
        for message in messages:
            if self._has_room_for(message):
                self._waiting.append((received_at, message))
                self._bytes += len(message)
            else:
                self.shed += 1

    def take(self, most: int, *, most_bytes: int) -> Iterator[tuple[float, bytes]]:
        """The oldest messages, which leave one by one; so many, until there are so many bytes."""
        while most > 0 and most_bytes > 0 and self._waiting:
            received_at, message = self._waiting.popleft()
            most -= 1
            most_bytes -= len(message)
            self._bytes -= len(message)
            yield received_at, message

    def _has_room_for(self, message: bytes) -> bool:
        return (
            len(self._waiting) < self._capacity_messages
            and self._bytes + len(message) <= self._capacity_bytes
        )
