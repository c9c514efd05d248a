"""The end of a message in a worker: a copy with the reason goes to its dead-letter queue.

The copy is sent, and confirmed where the broker confirms, before the message is acknowledged. When
it cannot be sent the message goes back to its queue: it may die twice, it is never lost.
"""

import logging
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.app.amqp import Queue
from kombu.exceptions import OperationalError

from celery_runtime.deadletter import record
from celery_runtime.queues import TaskQueue

if TYPE_CHECKING:
    from kombu.message import Message

#: Longer than a broker needs to fail over, shorter than a liveness probe waits.
RETRY_POLICY = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.5}
DETAIL_CHARACTERS = 1000

logger = logging.getLogger(__name__)


def bury(app: Celery, message: "Message", *, reason: str, error: object = "") -> bool:
    """Send a copy of the message to its dead-letter queue; False when that has to wait.

    A message from a queue without one is acknowledged by the caller like any other: the copy goes
    nowhere, as RabbitMQ does it.
    """
    queue = _queue(app, message)
    if queue is None:
        return True
    died = record.death(reason=reason, queue=queue.name, detail=str(error)[:DETAIL_CHARACTERS])
    try:
        _publish(app, message, queue.dead_letters, record.with_death(message.headers, died))
    except (OperationalError, OSError) as failure:
        logger.warning("A dead message of %s stays in its queue: %r", queue.name, failure)
        return False
    logger.error("A message of %s is dead: %s %s", queue.name, reason, died["detail"])
    return True


def _publish(app: Celery, message: "Message", dead_letters: Queue, headers: dict[str, Any]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=headers,
            exchange=dead_letters.exchange,
            routing_key=dead_letters.routing_key,
            declare=[dead_letters],
            retry=True,
            retry_policy=RETRY_POLICY,
            delivery_mode="persistent",
            correlation_id=message.properties.get("correlation_id"),
            reply_to=message.properties.get("reply_to"),
        )


def _queue(app: Celery, message: "Message") -> TaskQueue | None:
    # A message that RabbitMQ held back comes with its delay in front of the routing key.
    routing_key = message.delivery_info.get("routing_key") or ""
    names = (routing_key, routing_key.rpartition(".")[2])
    found = [app.amqp.queues[name] for name in names if name in app.amqp.queues]
    return next((queue for queue in found if isinstance(queue, TaskQueue)), None)
