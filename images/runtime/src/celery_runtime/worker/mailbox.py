"""Remote control that comes back after its connection was lost, and whose absence stops nothing.

RabbitMQ may still hold the old connection and the mailbox with it (405), and without heartbeats it
holds that for hours. Celery's prefork worker ends then, or connects again without an end; the
greenlet of its gevent worker ends, and tasks need neither.
"""

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from celery.utils.threads import bound_open_broker_sockets
from celery.worker import pidbox

from celery_runtime.worker.connections import once_connected

if TYPE_CHECKING:
    from celery.app.amqp import Connection
    from celery.worker.consumer import Consumer

RETRY_SECONDS = 2
ANSWER_SECONDS = 5

logger = logging.getLogger(__name__)


class Mailbox(pidbox.Pidbox):  # type: ignore[misc]  # celery has no types
    """On a channel of the consumer's own connection: the broker closes no more than that."""

    def start(self, c: "Consumer") -> None:
        """Open the mailbox, now or as soon as it is free."""
        try:
            super().start(c)
        except c.channel_errors as error:
            _tell(error)
            c.timer.call_after(RETRY_SECONDS, self._start_again, (c, c.connection))

    def _start_again(self, c: "Consumer", connection: "Connection") -> None:
        # With a new connection the consumer has started this anew.
        if c.connection is connection:
            self.start(c)


class GreenMailbox(pidbox.gPidbox):  # type: ignore[misc]  # celery has no types
    """On a connection and in a greenlet of its own."""

    def loop(self, c: "Consumer") -> None:
        """Serve until told to stop."""
        shutdown = self._node_shutdown = threading.Event()
        stopped = self._node_stopped = threading.Event()
        try:
            while not shutdown.is_set() and c.connection:
                try:
                    self._serve(c, shutdown)
                except (*c.connection_errors, *c.channel_errors) as error:
                    _tell(error)
                    shutdown.wait(RETRY_SECONDS)
        finally:
            stopped.set()

    def _serve(self, c: "Consumer", shutdown: threading.Event) -> None:
        resets = self._resets
        # One attempt: the consumer waits for this greenlet before it connects again itself.
        with c.app.connection_for_read(heartbeat=c.amqheartbeat) as connection:
            connection.connect()
            once_connected(connection)
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


def _tell(error: Exception) -> None:
    logger.warning("Remote control has to connect again: %s", error)
