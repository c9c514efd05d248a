"""Task queues, each with the queue that its dead messages go to."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from celery import Celery

# kombu's own, by the door that mypy does not find half-typed.
from celery.app.amqp import Queue

#: How RabbitMQ's delayed delivery marks a routing key: one digit for each of its 28 queues.
_DELAY_PREFIX = re.compile(r"^(?:[01]\.){28}")


class TaskQueue(Queue):  # type: ignore[misc]  # kombu has no types
    """A queue that workers consume; `dead_letters` is the queue for what they cannot finish."""

    attrs = (*Queue.attrs, ("dead_letters", None))


def dead_letter_queues(queues: Iterable[Queue]) -> list[Queue]:
    """The dead-letter queues of all queues that have one."""
    return [queue.dead_letters for queue in queues if isinstance(queue, TaskQueue)]


def without_delay(routing_key: str) -> str:
    """The routing key as it was before RabbitMQ kept its message for a countdown."""
    return _DELAY_PREFIX.sub("", routing_key)


def delivered_from(app: Celery, delivered: Mapping[str, Any]) -> str | None:
    """The queue that a message came from, by its delivery info; None where that does not tell."""
    exchange = delivered.get("exchange")
    delivered_key = delivered.get("routing_key") or ""
    routing_key = without_delay(delivered_key)
    if exchange == "":
        return routing_key
    delayed = routing_key != delivered_key
    for queue in app.amqp.queues.values():
        if queue.routing_key == routing_key and (delayed or queue.exchange.name == exchange):
            return str(queue.name)
    return None
