"""How many messages wait in a worker's queues, asked of the broker apart from the worker's own I/O.

The question has a connection and a thread of its own (under gevent and eventlet: a greenlet), so
that neither a probe nor the consumer ever waits for the answer.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from celery.utils.threads import bound_open_broker_sockets
from kombu.exceptions import ChannelError

from celery_runtime.health.probes import WorkerProbes

if TYPE_CHECKING:
    from celery import Celery
    from celery.app.amqp import Connection

#: A broker that takes longer is one that does not answer.
ANSWER_TIMEOUT_SECONDS = 5
TURNS_PER_QUESTION = 6
#: py-amqp has it as a number, kombu's own transports as text.
NOT_FOUND = "404"
#: Only one consumer of such a queue is served; the others wait beside it, rightly.
ONE_AT_A_TIME = "x-single-active-consumer"

logger = logging.getLogger(__name__)


class Backlog(Protocol):
    """A broker that may be asked how many messages wait."""

    def waiting(self) -> int:
        """How many messages wait; raises when that cannot be known."""

    def close(self) -> None:
        """Nothing more to ask for now."""


class BrokerBacklog:
    """Asks by a passive declaration, which every transport understands and which moves nothing."""

    def __init__(self, app: "Celery", *, heartbeat_seconds: float) -> None:
        self._app = app
        self._heartbeat_seconds = int(heartbeat_seconds)
        self._connection: Connection | None = None
        self._channel: Any = None

    def waiting(self) -> int:
        """Count the messages in all queues that this worker consumes.

        Raises:
            Exception: the broker cannot be asked; each transport has its own.

        """
        connection = self._connection = self._connection or self._connect()
        # A silent broker would hold a read for ever.
        bound_open_broker_sockets(connection, ANSWER_TIMEOUT_SECONDS)
        queues = tuple(self._app.amqp.queues.consume_from.values())
        return sum(
            self._waiting_in(queue.name, connection)
            for queue in queues
            if not (queue.queue_arguments or {}).get(ONE_AT_A_TIME)
        )

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            connection.release()

    def _connect(self) -> "Connection":
        connection = self._app.connection_for_read(
            connect_timeout=ANSWER_TIMEOUT_SECONDS,
            # An idle connection lives from question to question by this; see Watch.
            heartbeat=self._heartbeat_seconds,
            transport_options={
                "socket_timeout": ANSWER_TIMEOUT_SECONDS,
                "socket_connect_timeout": ANSWER_TIMEOUT_SECONDS,
            },
        )
        # Once: the next question comes soon enough.
        connection.ensure_connection(max_retries=0)
        return connection

    def _waiting_in(self, queue: str, connection: "Connection") -> int:
        channel = self._channel = self._channel or connection.channel()
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError as error:
            # The broker has closed the channel. A queue that does not exist holds no message.
            self._channel = None
            if str(error.reply_code) != NOT_FOUND:
                raise
            return 0


class Watch:
    """Asks the broker while there is a doubt about the worker, and says when it is stuck.

    The connection lasts as long as the doubt: an idle worker does not reconnect for each question,
    and a busy one holds no connection.
    """

    def __init__(self, probes: WorkerProbes, backlog: Backlog) -> None:
        self._probes = probes
        self._backlog = backlog
        self._turn_seconds = probes.ask_every_seconds / TURNS_PER_QUESTION
        self._turns_to_wait = 0
        self._was_live = True
        self._was_answered = True

    def start(self) -> None:
        """Begin to watch, for as long as the process lives."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def turn(self) -> None:
        """Ask, if a question is due."""
        if not self._probes.doubtful():
            self._close()
        elif self._turns_to_wait > 0:
            self._turns_to_wait -= 1
        else:
            self._turns_to_wait = TURNS_PER_QUESTION - 1
            self._ask()
        self._tell()

    def _run(self) -> None:
        while True:
            time.sleep(self._turn_seconds)
            self.turn()

    def _ask(self) -> None:
        try:
            self._probes.answered(self._backlog.waiting())
        except Exception as error:  # whatever a transport raises: the broker did not answer
            self._probes.unanswered()
            self._close()
            if self._was_answered:
                logger.warning("The broker does not say how many messages wait: %s", error)
            self._was_answered = False
        else:
            self._was_answered = True

    def _close(self) -> None:
        try:
            self._backlog.close()
        except Exception as error:  # it is given up in any case
            logger.debug("Closing the connection of the watch: %s", error)

    def _tell(self) -> None:
        # The kubelet keeps the status of a probe and drops its reason.
        verdict = self._probes.live()
        if self._was_live and not verdict.ok:
            logger.error("This worker is stuck: %s. /live answers 503.", verdict.reason)
        self._was_live = verdict.ok
