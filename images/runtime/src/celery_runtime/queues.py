"""Task queues, each with the queue that its dead messages go to."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from celery import bootsteps

# kombu's own, by the door that mypy does not find half-typed.
from celery.app.amqp import Queue

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

DEFAULT_DELIVERY_LIMIT = 5
MAX_DELIVERY_LIMIT = 1_000_000


class TaskQueue(Queue):  # type: ignore[misc]  # kombu has no types
    """A queue that workers consume; `dead_letters` is the queue for what they cannot finish."""

    attrs = (*Queue.attrs, ("dead_letters", None))


def dead_letter_queues(queues: Iterable[Queue]) -> list[Queue]:
    """The dead-letter queues of all queues that have one."""
    return [queue.dead_letters for queue in queues if isinstance(queue, TaskQueue)]


class DeadLetters(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Declares the dead-letter queues before the worker consumes.

    An error here is one of the connection: the consumer reconnects and starts its steps again, so
    a broker that comes late or goes away delays the worker and never ends it.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: "Consumer") -> None:
        # A channel of its own: a refused declaration closes the channel it came on.
        with consumer.connection.channel() as channel:
            for queue in dead_letter_queues(consumer.app.amqp.queues.values()):
                queue(channel).declare()
