"""Putting a message back for later: Celery's retry, without its count.

Task id, arguments, queue, headers, expiry, links, chains, groups and chords are kept, and so is
the number of retries: what a task may use up of `max_retries` is its own affair.
"""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from celery import Task
from celery.exceptions import Reject, Retry

from celery_runtime import queues


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
        queue=queues.delivered_from(task.app, request.delivery_info or {}),
        countdown=countdown,
        retries=request.retries,
        headers={
            **request.as_execution_options()["headers"],
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
