"""Events off Redis' publish/subscribe, without kombu's object for each message.

kombu makes the connection, as it knows TLS, sentinels and prefixes; what comes over it is parsed
by hiredis in blocks, instead of asking redis-py for one message after the other.
"""

from typing import Any

import hiredis
from celery import Celery
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_exporter.events.decoding import from_envelope

BLOCK_BYTES = 1024 * 1024
#: A message that is not whole by then is given up, and the connection with it.
MAX_PART_BYTES = 64 * 1024 * 1024
#: Silence after which the connection is tried: a half-open one would be silent for ever.
PING_AFTER_SECONDS = 10
_INCOMPLETE = object()


class RedisEvents:
    """A subscription to all events of an application."""

    decode = staticmethod(from_envelope)

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._subscription: Any = None
        self._reader: Any = None
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._silent_seconds = 0.0
        self._part_bytes = 0

    def connect(self) -> None:
        """Subscribe; raises what the transport raises when Redis is away."""
        self._connection = self._app.connection_for_read()
        self._connection.ensure_connection(max_retries=0)
        channel = self._connection.default_channel
        self._subscription = channel.subclient
        # The confirmation is the first that our own reader sees: redis-py reads nothing from here.
        self._subscription.psubscribe(pattern(channel, self._app.conf.event_exchange))
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._silent_seconds, self._part_bytes = 0.0, 0

    def read(self, *, wait_seconds: float) -> list[bytes]:
        """What has come, after at most so long a wait; empty when nothing has.

        Raises:
            OSError: the connection is lost.
            RedisConnectionError: it is closed, silent for too long, or sends what has no end.

        """
        received = self._receive(wait_seconds)
        if not received:
            self._try_silence(wait_seconds)
            return []
        self._silent_seconds = 0.0
        self._reader.feed(self._block, 0, received)
        self._part_bytes += received
        messages = []
        while (reply := self._reader.gets()) is not _INCOMPLETE:
            self._part_bytes = 0
            # A message, not the answer to a subscription or a ping.
            if isinstance(reply, list) and len(reply) == 4:
                messages.append(reply[3])
        if self._part_bytes > MAX_PART_BYTES:
            raise RedisConnectionError(f"A message has more than {MAX_PART_BYTES:,} bytes.")
        return messages

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection, self._subscription = self._connection, None, None
        if connection is not None:
            connection.release()

    def _receive(self, wait_seconds: float) -> int:
        socket = self._subscription.connection._sock  # as kombu's poller does
        # 0 would be non-blocking, for which TLS has errors of its own.
        socket.settimeout(wait_seconds or 0.001)
        try:
            received: int = socket.recv_into(self._block)
        except TimeoutError:
            return 0
        if received == 0:
            raise RedisConnectionError("Redis has closed the subscription.")
        return received

    def _try_silence(self, waited_seconds: float) -> None:
        before, self._silent_seconds = self._silent_seconds, self._silent_seconds + waited_seconds
        if self._silent_seconds > 2 * PING_AFTER_SECONDS:
            raise RedisConnectionError(f"Redis is silent for {self._silent_seconds:.0f} s.")
        if before < PING_AFTER_SECONDS <= self._silent_seconds:
            self._subscription.ping()


def pattern(channel: Any, exchange: str) -> str:  # noqa: ANN401 # kombu has no types
    """What to subscribe to for everything that is sent to an exchange."""
    topic = f"{channel.keyprefix_fanout}{exchange}"
    return f"{topic}/*" if channel.fanout_patterns else topic
