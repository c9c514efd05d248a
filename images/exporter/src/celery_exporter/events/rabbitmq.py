"""Events off RabbitMQ, in a queue that lives as long as its connection.

The messages are py-amqp's own: kombu's around each of them would cost as much again.
"""

from typing import Any
from uuid import uuid4

from celery import Celery
from celery.events.event import get_exchange

from celery_exporter.events.decoding import from_body

HEARTBEAT_SECONDS = 10
#: More than this at once is left for the next turn, so that what has come is counted meanwhile.
BATCH_MESSAGES = 1000
#: What nobody takes is dropped by RabbitMQ after so long; Celery's own for such queues.
TIME_TO_LIVE_SECONDS = 5


class RabbitEvents:
    """A queue of one's own behind the exchange of all events."""

    decode = staticmethod(from_body)

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._received: list[bytes] = []

    def connect(self) -> None:
        """Declare and consume; raises what the transport raises when RabbitMQ is away."""
        self._received.clear()
        self._connection = self._app.connection_for_read(heartbeat=HEARTBEAT_SECONDS)
        self._connection.ensure_connection(max_retries=0)
        channel = self._connection.channel()
        get_exchange(self._connection, name=self._app.conf.event_exchange)(channel).declare()
        name = f"{self._app.conf.event_queue_prefix}.exporter.{uuid4()}"
        channel.queue_declare(
            name,
            exclusive=True,
            auto_delete=True,
            arguments={"x-message-ttl": TIME_TO_LIVE_SECONDS * 1000},
        )
        channel.queue_bind(name, self._app.conf.event_exchange, routing_key="#")
        channel.basic_consume(name, no_ack=True, callback=self._receive)

    def read(self, *, wait_seconds: float) -> list[bytes]:
        """What has come, after at most so long a wait; empty when nothing has.

        Raises:
            Exception: the connection is lost; py-amqp has several for it.

        """
        self._connection.heartbeat_check()
        try:
            self._connection.drain_events(timeout=wait_seconds or 0.001)
            while len(self._received) < BATCH_MESSAGES:
                self._connection.drain_events(timeout=0.001)
        except TimeoutError:
            pass
        received, self._received = self._received, []
        return received

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _receive(self, message: Any) -> None:  # noqa: ANN401 # py-amqp has no types
        body = message.body
        self._received.append(body if isinstance(body, bytes) else str(body).encode())
