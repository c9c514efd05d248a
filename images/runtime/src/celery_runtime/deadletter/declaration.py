"""The queues for dead messages are there before a worker consumes."""

from typing import TYPE_CHECKING

from celery import bootsteps

from celery_runtime.queues import dead_letter_queues

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer


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
