"""From the broker to the state, for as long as the process lives."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Protocol

from celery_exporter.events.buffer import Buffer
from celery_exporter.events.decoding import Event, UnreadableError

#: Between two looks at the broker: some milliseconds of work.
BATCH_MESSAGES = 500
#: Less than is read at once, so that also large messages are read faster than they are counted.
BATCH_BYTES = 384 * 1024
WAIT_SECONDS = 1.0
RETRY_SECONDS = 1.0
MOST_RETRY_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Source(Protocol):
    """A broker that events come from."""

    def decode(self, message: bytes, /) -> list[Event]:
        """The events in a message; raises UnreadableError where there are none."""

    def connect(self) -> None:
        """Connect; raises when the broker is away."""

    def read(self, *, wait_seconds: float) -> Sequence[bytes]:
        """What has come, after at most so long a wait; raises when the connection is lost."""

    def close(self) -> None:
        """Give the connection up, whatever its state."""


#: Takes events that came at one time.
Sink = Callable[[Sequence[Event], float], None]


def said(error: Exception) -> str:
    """Which error, and what it says: redis-py's tell one of both, however they are printed."""
    return f"{type(error).__name__}: {error}"


class Pump:
    """Reads, decodes and hands over; reconnects for ever."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        buffer: Buffer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._sink = sink
        self._clock = clock
        self._stopping = Flag()
        self._retry_seconds = RETRY_SECONDS
        self.buffer = Buffer() if buffer is None else buffer
        self.connected = False
        self.decoded = 0
        self.unreadable = 0
        #: When the loop last turned; it does so every second, whatever the broker does.
        self.turned_at = clock()

    def run(self) -> None:
        """Pump until `stop`."""
        while not self._stopping.is_set():
            try:
                self._source.connect()
                self._connected()
                self._read_on()
            except Exception as error:  # each transport has its own; none may end the process
                self._lost(error)
            finally:
                self._close()
            self._wait_to_retry()

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping.set()

    def turn(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Read what has come, then count some of what is there."""
        self.turned_at = self._clock()
        waiting = bool(self.buffer)
        messages = self._source.read(wait_seconds=0 if waiting else wait_seconds)
        self._put(messages)
        self._hand_over()

    def _read_on(self) -> None:
        while not self._stopping.is_set():
            self.turn()

    def _put(self, messages: Sequence[bytes]) -> None:
        shed = self.buffer.shed
        self.buffer.put(messages, received_at=self._clock())
        if self.buffer.shed and not shed:
            logger.warning(
                "Events come faster than they are counted. What finds no room is shed and counted "
                'as celery_exporter_events_total{outcome="shed"}; this is said once.'
            )

    def _hand_over(self) -> None:
        events: list[Event] = []
        since = 0.0
        for received_at, message in self.buffer.take(BATCH_MESSAGES, most_bytes=BATCH_BYTES):
            if received_at != since and events:
                self._sink(events, since)
                events = []
            since = received_at
            events += self._decoded(message)
        # Without events, too: time passes in the state.
        self._sink(events, since or self._clock())

    def _decoded(self, message: bytes) -> list[Event]:
        try:
            events = self._source.decode(message)
        except UnreadableError as error:
            if not self.unreadable:
                logger.warning("A message is no event and is counted as unreadable: %s", error)
            self.unreadable += 1
            return []
        self.decoded += len(events)
        return events

    def _connected(self) -> None:
        logger.info("Listening to events.")
        self.connected, self._retry_seconds = True, RETRY_SECONDS

    def _lost(self, error: Exception) -> None:
        logger.warning("No events, next try in %.0f s: %s", self._retry_seconds, said(error))
        self.connected = False

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:  # it is given up in any case
            logger.debug("Closing the connection: %r", error)

    def _wait_to_retry(self) -> None:
        self._retry_seconds, seconds = (
            min(2 * self._retry_seconds, MOST_RETRY_SECONDS),
            self._retry_seconds,
        )
        deadline = self._clock() + seconds
        while self._clock() < deadline and not self._stopping.wait(self._pause_seconds()):
            self.turned_at = self._clock()
            self._hand_over()

    def _pause_seconds(self) -> float:
        # What had come before the connection was lost is counted meanwhile.
        return 0 if self.buffer else WAIT_SECONDS
