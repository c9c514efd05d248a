"""Putting a message back for later: Celery's retry, without its count.

Task id, arguments, queue, headers, expiry, links, chains, groups and chords are kept, and so is
the number of retries: what a task may use up of `max_retries` is its own affair.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from celery import Celery, Task
from celery.app.task import get_actual_ignore_result
from celery.exceptions import Reject, Retry

#: How RabbitMQ's delayed delivery marks a routing key: one digit for each of its 28 queues.
_DELAY_PREFIX = re.compile(r"^(?:[01]\.){28}")


def put_back(
    task: Task, *, delay_seconds: float, reason: str, headers: Mapping[str, Any] | None = None
) -> NoReturn:
    """Send the running task's message again, to be run after the delay, and end this run.

    The delay is rounded up to whole seconds, which is all that RabbitMQ knows.

    Raises:
        Retry: the message is back.
        Reject: it could not be sent; it is given back to the broker, or recorded as a failure
            where it was acknowledged before it ran.

    """
    request = task.request
    countdown = max(1, math.ceil(delay_seconds))
    signature = task.signature_from_request(
        queue=queue_name(task.app, request.delivery_info or {}),
        countdown=countdown,
        retries=request.retries,
        # Whoever waits for the result waits elsewhere: under gevent Celery would have this worker
        # subscribe to it.
        ignore_result=True,
        headers={
            **request.as_execution_options()["headers"],
            "ignore_result": get_actual_ignore_result(task, request),
            # Celery would make the task its own parent: it is sent while the task runs.
            "parent_id": request.parent_id,
            **(headers or {}),
        },
    )
    try:
        signature.apply_async()
    except Exception as error:
        raise Reject(error, requeue=task.acks_late) from error
    raise Retry(f"{reason} Put back for {countdown} s.", when=countdown)


def queue_name(app: Celery, delivered: Mapping[str, Any]) -> str | None:
    """The queue that a message came from; None where bindings do not tell.

    Without it Celery 5.7 delays a message to the queue that its route names, or to the default one,
    wherever it came from.
    """
    exchange = delivered.get("exchange")
    routing_key, delays = _DELAY_PREFIX.subn("", delivered.get("routing_key") or "")
    if exchange == "":
        return routing_key
    for queue in app.amqp.queues.values():
        if queue.routing_key == routing_key and (delays or queue.exchange.name == exchange):
            return str(queue.name)
    return None
