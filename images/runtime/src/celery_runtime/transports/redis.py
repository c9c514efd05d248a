"""Redis and Valkey: a counted, bounded redelivery, which ends in the dead-letter queue."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any
from uuid import uuid4

from kombu.transport import redis
from kombu.utils.json import dumps, loads
from redis.client import Pipeline, Redis

from celery_runtime.brokers import visibility
from celery_runtime.deadletter import record

#: How often a message was delivered and came back; RabbitMQ's quorum queues use the name too.
DELIVERY_COUNT = "x-delivery-count"
#: How long an abandoned message may wait on top of its timeout.
SWEEP_SECONDS = 10
#: What kombu raises at an item that is no message of its own.
FOREIGN = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


class QoS(redis.QoS):
    """Tells a worker that gives back what it holds from one that was lost, and a lost Redis.

    A worker with full hands does not listen to Redis: a message that it cannot acknowledge would
    fill them for ever.
    """

    def can_consume(self) -> bool:
        """Asked in each turn of the loop, which ends here when the connection is lost."""
        if self.channel.lost:
            raise self.channel.lost
        return bool(super().can_consume())

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; a failure is one of the connection as a whole."""
        with self.channel.noticing_loss():
            super().ack(delivery_tag)

    def restore_unacked(self, client: object = None) -> None:
        """Give everything back, at the end of a worker: no delivery that failed."""
        self.channel.counts_deliveries = False
        try:
            super().restore_unacked(client)
        finally:
            self.channel.counts_deliveries = True


class BoundedRedelivery:
    """A channel on which a message that comes back too often dies."""

    QoS = QoS
    counts_deliveries = True
    #: What ended the connection, for the loop to connect again.
    lost: Exception | None = None
    dead_letters: dict[str, dict[str, Any]] = {}  # noqa: RUF012 # set from the transport options

    @property
    def tend_interval_seconds(self) -> float:
        """How often `tend` has to be called."""
        renewal = visibility.renewal_interval_seconds(self.visibility_timeout)  # type: ignore[attr-defined]
        return min(renewal, SWEEP_SECONDS)

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        """Remember an error of the connection."""
        try:
            yield
        except self.connection_errors as error:  # type: ignore[attr-defined]
            self.lost = error
            raise

    def tend(self) -> None:
        """Start the timeout of every held message anew, and put back what has run out."""
        with self.noticing_loss():
            self._tend()

    def _tend(self) -> None:
        held = {tag: time() for tag in list(self.qos._delivered)}  # type: ignore[attr-defined]
        if held:
            with self.conn_or_acquire() as client:  # type: ignore[attr-defined]
                # XX: a message that was acknowledged meanwhile does not come back.
                client.zadd(self.unacked_index_key, held, xx=True)  # type: ignore[attr-defined]
        self.qos.restore_visible(num=self.unacked_restore_limit, interval=1)  # type: ignore[attr-defined]

    def _create_client(self, asynchronous: bool = False) -> Redis:
        client: Redis = super()._create_client(asynchronous)  # type: ignore[misc]
        client.set_response_callback("BRPOP", self._popped)
        return client

    def _popped(self, reply: list[bytes] | None, **_: object) -> tuple[bytes, bytes | str] | None:
        """What was taken out of a list; kombu would end at a foreign item, or lose it."""
        if not reply:
            return None
        key, item = reply
        if self._is_message(item):
            return key, item
        queue = key.decode().removeprefix(self.global_keyprefix).rsplit(self.sep, 1)[0]  # type: ignore[attr-defined]
        return key, dumps(wrapped(item, queue))

    def _is_message(self, item: bytes) -> bool:
        try:
            message = self.Message(loads(item), channel=self)  # type: ignore[attr-defined]
            return bool({"exchange", "routing_key"} <= message.delivery_info.keys())
        except FOREIGN:
            return False

    def _do_restore_message(
        self,
        payload: dict[str, Any],
        exchange: str,
        routing_key: str,
        pipe: Pipeline,
        leftmost: bool = False,
    ) -> None:
        limit = self.dead_letters.get(routing_key)
        if limit is None or not self.counts_deliveries:
            super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)  # type: ignore[misc]
            return
        headers = payload.get("headers") or {}
        headers[DELIVERY_COUNT] = deliveries = headers.get(DELIVERY_COUNT, 0) + 1
        payload["headers"] = headers
        if deliveries > limit["limit"]:
            died = record.death(reason=record.DELIVERY_LIMIT, queue=routing_key)
            payload["headers"] = record.with_death(headers, died)
            exchange, routing_key = "", limit["queue"]
            payload["properties"]["delivery_info"] = {"exchange": "", "routing_key": routing_key}
        super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)  # type: ignore[misc]


def wrapped(item: bytes, queue: str) -> dict[str, Any]:
    """A message around something that is none; the consumer finds it unreadable and buries it."""
    return {
        "body": b64encode(item).decode(),
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


class Channel(BoundedRedelivery, redis.Channel):
    """A channel to one Redis."""

    from_transport_options = (*redis.Channel.from_transport_options, "dead_letters")  # type: ignore[assignment]


class SentinelChannel(BoundedRedelivery, redis.SentinelChannel):
    """A channel to the master that the sentinels name."""

    from_transport_options = (*redis.SentinelChannel.from_transport_options, "dead_letters")  # type: ignore[assignment]


class Transport(redis.Transport):
    """kombu's, with these channels."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """kombu's, with these channels."""

    Channel = SentinelChannel
