"""The dead-letter queues of an application, on whichever broker it has.

A message is fetched without being acknowledged. What is replayed is sent first, with the broker's
confirmation, and acknowledged then: an interruption in between doubles it, and none loses it.
Whatever is still held at the end goes back.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from celery import Celery
from celery.app.amqp import Queue

from celery_runtime.deadletter import record
from celery_runtime.deadletter.copying import send_copy
from celery_runtime.queues import TaskQueue

if TYPE_CHECKING:
    from kombu.message import Message

RETRY_POLICY = {"max_retries": 3, "interval_start": 0.5, "interval_step": 1}


@dataclass(frozen=True)
class Held:
    """A dead message that this process holds, and the queue that it came from."""

    dead: record.DeadMessage
    message: "Message"
    origin: TaskQueue

    def body(self) -> object:
        """What it says, as data where it is JSON."""
        return record.body(self.message)


class Box:
    """The dead letters of some queues; a context manager that holds what it has fetched."""

    def __init__(self, app: Celery, queues: Sequence[TaskQueue]) -> None:
        self._app = app
        self._queues = queues
        self._open = ExitStack()
        self._name = uuid4().hex

    def __enter__(self) -> Self:
        self._connection = self._open.enter_context(self._app.connection_for_write())
        self._connection.ensure_connection(max_retries=3, interval_start=0.5)
        self._channel = self._open.enter_context(self._connection.channel())
        for queue in self._queues:
            queue.dead_letters(self._channel).declare()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def count(self) -> int:
        """How many dead messages wait, as far as the broker knows."""
        return sum(self._waiting(queue.dead_letters) for queue in self._queues)

    def __iter__(self) -> Iterator[Held]:
        for queue in self._queues:
            yield from self._fetch(queue)

    def replay(self, held: Held, *, to: Queue | None = None) -> None:
        """Send a message to its queue again, then take it out of the dead letters."""
        message = held.message
        send_copy(
            self._app,
            message,
            to=to or held.origin,
            headers=record.revived(message.headers or {}, by=self._name),
            retry_policy=RETRY_POLICY,
        )
        message.ack()

    def purge(self, held: Held) -> None:
        """Take a message out of the dead letters for good."""
        held.message.ack()

    def _waiting(self, dead_letters: Queue) -> int:
        return int(dead_letters(self._channel).queue_declare().message_count)

    def _revived(self, message: "Message") -> bool:
        return (message.headers or {}).get(record.REVIVED_BY) == self._name

    def _fetch(self, queue: TaskQueue) -> Iterator[Held]:
        dead_letters, seen = queue.dead_letters(self._channel), set[str]()
        while (message := dead_letters.get()) is not None:
            # SQS hands a message out again when it was held for too long. And what was put back
            # from here may have died again: then all that were there before have been looked at.
            if message.delivery_tag in seen or self._revived(message):
                return
            seen.add(str(message.delivery_tag))
            yield Held(record.read(message, queue=queue.name), message, queue)
