"""Celery's consumer, without what makes it hang or fall silent under gevent."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.utils.threads import bound_open_broker_sockets
from celery.worker import consumer, pidbox

from celery_runtime.worker import mailbox
from celery_runtime.worker.connections import once_connected

if TYPE_CHECKING:
    from celery.app.amqp import Connection

#: Half of what the liveness probe allows the loop. RabbitMQ declares a queue within seconds even
#: while its nodes choose a leader.
LOOP_ANSWER_SECONDS = 30
DRAIN_EVERY_SECONDS = 1.0
DRAIN_SECONDS = 0.001


class Consumer(consumer.Consumer):  # type: ignore[misc]  # celery has no types
    """Sends events without publisher confirms, and never waits for a connection without limit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # celery's own
        limit_seconds = options["app"].conf.broker_connection_timeout
        pidbox.Pidbox, pidbox.gPidbox = mailbox.Mailbox, mailbox.GreenMailbox
        super().__init__(*arguments, **options)
        # Celery takes the limit away under gevent. A broker that accepts and says nothing would
        # then hold the worker for ever, and SIGTERM is looked for between two attempts.
        self.app.conf.broker_connection_timeout = limit_seconds

    def connection_for_read(self, heartbeat: float | None = None) -> "Connection":
        """The connection that messages come by.

        Celery's loop asks the broker on it, at its start for the prefetch count, and waits for the
        answer without limit: no heartbeat ends that, because it is the loop that looks for them.
        """
        connection = super().connection_for_read(heartbeat)
        if connection.transport.driver_type == "amqp":
            bound_open_broker_sockets(connection, LOOP_ANSWER_SECONDS)
        return once_connected(connection)

    def connection_for_write(
        self, url: str | None = None, heartbeat: float | None = None
    ) -> "Connection":
        """The connection of the worker's events, the only one that Celery asks this for.

        Its main loop drains that connection. Under gevent the loop can take a confirm that a
        greenlet waits for, which then waits for ever with the dispatcher's lock in its hand.
        """
        connection = self.ensure_connected(
            self.app.connection_for_write(
                url=url, heartbeat=heartbeat, transport_options={"confirm_publish": False}
            )
        )
        # A heartbeat would be sent again until the broker is back, and hold the lock that a task
        # needs to end. Celery keeps what could not be sent and makes a new connection anyway.
        connection.ensure = _once
        connection.drain_events = _seldom(connection.drain_events)
        return once_connected(connection)


def _seldom(drain: Callable[..., None]) -> Callable[..., None]:
    """Read the broker's heartbeats, which is all that comes on a connection without confirms.

    Celery's loop waits for them for 0.1 s after each message: ten tasks a second would be all.
    """
    due_at = 0.0

    def drain_events(**_: object) -> None:
        nonlocal due_at
        if time.monotonic() >= due_at:
            due_at = time.monotonic() + DRAIN_EVERY_SECONDS
            drain(timeout=DRAIN_SECONDS)

    return drain_events


def _once(_: object, publish: Callable[..., None], **__: object) -> Callable[..., None]:
    return publish
