"""The end of a message in a worker: a copy with the reason goes to its dead-letter queue.

The copy is sent, and confirmed where the broker confirms, before the message is acknowledged. When
it cannot be sent the message goes back to its queue: it may die twice, it is never lost.
"""

import logging
from typing import TYPE_CHECKING

from celery import Celery
from kombu.exceptions import OperationalError

from celery_runtime.deadletter import record
from celery_runtime.deadletter.copying import send_copy
from celery_runtime.queues import TaskQueue, delivered_from

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
        send_copy(
            app,
            message,
            to=queue.dead_letters,
            headers=record.with_death(message.headers, died),
            retry_policy=RETRY_POLICY,
        )
    except (OperationalError, OSError) as failure:
        logger.warning("A dead message of %s stays in its queue: %r", queue.name, failure)
        return False
    logger.error("A message of %s is dead: %s %s", queue.name, reason, died["detail"])
    return True


def _queue(app: Celery, message: "Message") -> TaskQueue | None:
    name = delivered_from(app, message.delivery_info or {})
    queue = app.amqp.queues.get(name)
    return queue if isinstance(queue, TaskQueue) else None
