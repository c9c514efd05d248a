"""The topology of queues: durable, replicated, and with somewhere for dead messages to go.

A task queue `email` is a quorum queue behind a topic exchange `email`. What exceeds its delivery
limit, expires or is rejected goes through the exchange `dlx` to the quorum queue `email.dead`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from celery import bootsteps

# kombu's own, by the door that mypy does not find half-typed.
from celery.app.amqp import Exchange, Queue

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

DEFAULT_DELIVERY_LIMIT = 5
MAX_DELIVERY_LIMIT = 1_000_000
DEAD_LETTER_EXCHANGE = "dlx"
DEAD_SUFFIX = ".dead"
UNLIMITED = -1


def task_queue(name: str, *, delivery_limit: int = DEFAULT_DELIVERY_LIMIT) -> Queue:
    """The queue and exchange of one name, bound under that name."""
    return Queue(
        name,
        # Topic: only then does RabbitMQ, not the worker, hold back a message with a countdown.
        exchange=Exchange(name, type="topic", durable=True),
        routing_key=name,
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": delivery_limit,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": name + DEAD_SUFFIX,
            # At-least-once needs reject-publish: a full queue refuses, it never drops its head.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def dead_letter_queue(queue: Queue) -> Queue | None:
    """Where the dead messages of a queue go, or None when it does not use our exchange."""
    arguments = queue.queue_arguments or {}
    if arguments.get("x-dead-letter-exchange") != DEAD_LETTER_EXCHANGE:
        return None
    name = arguments["x-dead-letter-routing-key"]
    return Queue(
        name,
        exchange=Exchange(DEAD_LETTER_EXCHANGE, type="direct", durable=True),
        routing_key=name,
        durable=True,
        # Looking at a dead message and putting it back counts as a delivery: never drop it.
        queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED},
    )


def dead_letter_queues(queues: Iterable[Queue]) -> list[Queue]:
    """The dead-letter queues of all queues that have one."""
    return [dead for queue in queues if (dead := dead_letter_queue(queue)) is not None]


class DeadLetters(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Declares `dlx` and the dead-letter queues before the worker consumes.

    An error here is one of the connection: the consumer reconnects and starts its steps again, so
    a broker that comes late or goes away delays the worker and never ends it.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: "Consumer") -> None:
        # A channel of its own: a refused declaration closes the channel it came on.
        with consumer.connection.channel() as channel:
            for queue in dead_letter_queues(consumer.app.amqp.queues.values()):
                queue(channel).declare()
