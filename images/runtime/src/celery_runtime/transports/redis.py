"""Redis and Valkey: a counted, bounded redelivery, which ends in the dead-letter queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING, Any

from kombu.transport import redis, virtual
from kombu.utils.json import dumps
from redis.client import Pipeline, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime.brokers import visibility
from celery_runtime.brokers.redis import refuse_cluster
from celery_runtime.deadletter import record
from celery_runtime.transports import FULL_HANDS_SECONDS
from celery_runtime.transports.fetching import Fetching, parts
from celery_runtime.transports.foreign import wrapped

if TYPE_CHECKING:
    from kombu.message import Message

#: How often a message was delivered and came back; RabbitMQ's quorum queues use the name too.
DELIVERY_COUNT = "x-delivery-count"
#: How long an abandoned message may wait on top of its timeout.
SWEEP_SECONDS = 10


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

    def append(self, message: "Message", delivery_tag: str) -> None:
        """Remember in this process what Redis knows already: see `fetching`."""
        virtual.QoS.append(self, message, delivery_tag)

    def restore_by_tag(self, tag: str, client: Redis | None = None, leftmost: bool = False) -> None:
        """Put a message back."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (RecursionError, ValueError):
            # A foreign item, whose worker was killed before it could wrap it.
            self._wrap(tag)
            super().restore_by_tag(tag, client, leftmost)

    def _wrap(self, tag: str) -> None:
        with self.channel.conn_or_acquire() as client:
            item, queue = parts(client.hget(self.unacked_key, tag))
            client.hset(self.unacked_key, tag, dumps([wrapped(item, queue), "", queue]))

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; a failure is one of the connection as a whole."""
        if self._is_cut_off():
            # Its task ended after the connection; the message has come back, or will.
            raise RedisConnectionError("The connection that the message came by is closed.")
        with self.channel.noticing_loss():
            super().ack(delivery_tag)

    def restore_unacked(self, client: object = None) -> None:
        """Give everything back, at the end of a worker: no delivery that failed."""
        if self._is_cut_off():
            # Celery closes a broken connection twice. What is held comes back by its timeout.
            return
        self.channel.counts_deliveries = False
        try:
            super().restore_unacked(client)
        finally:
            self.channel.counts_deliveries = True

    def _is_cut_off(self) -> bool:
        """Whether kombu would fail in a way that ends the worker: it knows no address any more."""
        connection = self.channel.connection
        return self.channel._pool is None and (connection is None or connection.client is None)


class BoundedRedelivery(redis.Channel):
    """A channel on which a message that comes back too often dies."""

    QoS = QoS
    counts_deliveries = True
    #: What ended the connection, for the loop to connect again.
    lost: Exception | None = None
    dead_letters: dict[str, dict[str, Any]] = {}  # noqa: RUF012 # set from the transport options

    _kept: Redis | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # kombu's own
        super().__init__(*arguments, **options)
        refuse_cluster(self.client, "broker")

    def _create_client(self, asynchronous: bool = False) -> Redis:
        """One for all commands, which takes a connection from the pool for each of them.

        kombu makes one for each: a fifth of what a task costs.
        """
        if asynchronous:
            blocking: Redis = super()._create_client(asynchronous)
            return blocking
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept

    @property
    def tend_interval_seconds(self) -> float:
        """How often `tend` has to be called."""
        renewal = visibility.renewal_interval_seconds(self.visibility_timeout)
        return min(renewal, SWEEP_SECONDS)

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        """Remember an error of the connection."""
        try:
            yield
        except self.connection_errors as error:
            self.lost = error
            raise

    def tend(self) -> None:
        """Start the timeout of every held message anew, and put back what has run out."""
        with self.noticing_loss():
            self._tend()

    def _tend(self) -> None:
        held = {tag: time() for tag in list(self.qos._delivered)}
        if held:
            with self.conn_or_acquire() as client:
                # XX: a message that was acknowledged meanwhile does not come back.
                client.zadd(self.unacked_index_key, held, xx=True)
        self.qos.restore_visible(num=self.unacked_restore_limit, interval=1)

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
            super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)
            return
        headers = payload.get("headers") or {}
        headers[DELIVERY_COUNT] = deliveries = headers.get(DELIVERY_COUNT, 0) + 1
        payload["headers"] = headers
        if deliveries > limit["limit"]:
            died = record.death(reason=record.DELIVERY_LIMIT, queue=routing_key)
            payload["headers"] = record.with_death(headers, died)
            exchange, routing_key = "", limit["queue"]
            payload["properties"]["delivery_info"] = {"exchange": "", "routing_key": routing_key}
        super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)


class Channel(Fetching, BoundedRedelivery):
    """A channel to one Redis."""

    from_transport_options = (*redis.Channel.from_transport_options, "dead_letters")  # type: ignore[assignment]


class SentinelChannel(Fetching, BoundedRedelivery, redis.SentinelChannel):
    """A channel to the master that the sentinels name."""

    from_transport_options = (*redis.SentinelChannel.from_transport_options, "dead_letters")  # type: ignore[assignment]


class Poller(redis.MultiChannelPoller):
    """Notices soon that hands are free again."""

    def get(self, callback: object, timeout: float | None = None) -> None:
        """Wait for one event."""
        super().get(callback, FULL_HANDS_SECONDS if self._hands_are_full() else timeout)

    def maybe_restore_messages(self) -> None:
        """`tend` does."""

    def _hands_are_full(self) -> bool:
        return any(each.active_queues and not each.qos.can_consume() for each in self._channels)


class Transport(redis.Transport):
    """kombu's, with these channels."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # kombu's own
        super().__init__(*arguments, **options)
        self.cycle = Poller()  # type: ignore[assignment]  # kombu changes the type as well


class SentinelTransport(Transport, redis.SentinelTransport):
    """kombu's, with these channels."""

    Channel = SentinelChannel  # type: ignore[assignment]
