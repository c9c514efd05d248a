"""Celery's consumer, without what makes it hang or fall silent under gevent."""

import errno
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.utils.threads import bound_open_broker_sockets
from celery.worker import consumer, pidbox

if TYPE_CHECKING:
    from celery.app.amqp import Connection

RETRY_SECONDS = 2
ANSWER_SECONDS = 5
#: Half of what the liveness probe allows the loop. RabbitMQ declares a queue within seconds even
#: while its nodes choose a leader.
LOOP_ANSWER_SECONDS = 30
DRAIN_EVERY_SECONDS = 1.0
DRAIN_SECONDS = 0.001

logger = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # celery has no types
    """Sends events without publisher confirms, and never waits for a connection without limit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # celery's own
        limit_seconds = options["app"].conf.broker_connection_timeout
        pidbox.gPidbox = Mailbox
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
        return _once_connected(connection)

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
        return _once_connected(connection)


class Mailbox(pidbox.gPidbox):  # type: ignore[misc]  # celery has no types
    """Remote control under gevent that comes back after its connection was lost.

    Celery's greenlet ends with its connection, or when the broker still holds the old one and the
    mailbox with it (405); and without heartbeats the broker holds that for hours.
    """

    def loop(self, c: Consumer) -> None:
        """Serve until told to stop."""
        shutdown = self._node_shutdown = threading.Event()
        stopped = self._node_stopped = threading.Event()
        try:
            while not shutdown.is_set() and c.connection:
                try:
                    self._serve(c, shutdown)
                except (*c.connection_errors, *c.channel_errors) as error:
                    logger.warning("Remote control has to connect again: %s", error)
                    shutdown.wait(RETRY_SECONDS)
        finally:
            stopped.set()

    def _serve(self, c: Consumer, shutdown: threading.Event) -> None:
        resets = self._resets
        # One attempt: the consumer waits for this greenlet before it connects again itself.
        with c.app.connection_for_read(heartbeat=c.amqheartbeat) as connection:
            connection.connect()
            _once_connected(connection)
            # The goodbye waits for an answer, and the worker for the goodbye.
            bound_open_broker_sockets(connection, ANSWER_SECONDS)
            self._do_reset(c, connection)
            while not shutdown.is_set() and c.connection:
                connection.heartbeat_check()
                if resets != self._resets:
                    resets = self._resets
                    self._do_reset(c, connection)
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)


def _once_connected(connection: "Connection") -> "Connection":
    """Let a connection that is lost say so, where kombu would quietly make another.

    An acknowledgement or a heartbeat may be first to find the broker gone. The next use connects
    again, to no consumer and no mailbox: nothing comes any more, and nothing fails.
    """

    def ensure(*_: object, **__: object) -> object:
        if not connection.connected:
            raise OSError(errno.ENOTCONN, "The broker's connection was lost")
        return connection._connection

    connection._ensure_connection = ensure
    return connection


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
