"""What Celery 5.7 gets wrong when a task is sent for later, or again.

Celery hands a delay to RabbitMQ, in whole seconds cut off after the point: `countdown=0.5` becomes
0, which raises ValueError in the caller's face. And a retry with a delay goes to the queue of the
task's route, or to the default one, wherever the message came from. On SQS a retry leaves its
message group, too.

A countdown raises NotFound on a RabbitMQ where no worker has been yet: only workers declare the
queues that delay. And Celery waits without end for the confirmation of a RabbitMQ that takes the
connection and is stuck.

A node of RabbitMQ that is apart from the others cannot change its metadata. It says so by an error
of its own (541, after up to a minute), which Celery passes on as it is: not as the OperationalError
that whoever sends a task, and beat, are prepared for.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Any

from amqp.exceptions import InternalError, NotFound
from celery import Celery
from celery.result import AsyncResult
from celery.utils.time import subtract_datetimes
from kombu.exceptions import OperationalError

from celery_runtime import delays, queues

_WAYS = frozenset({"exchange", "routing_key"})
#: What orders messages in a FIFO queue, and shares a standard queue fairly.
GROUP = "MessageGroupId"
LEAST_SECONDS = 1
#: A quorum queue confirms within milliseconds, after a failover within seconds.
CONFIRM_SECONDS = 30
#: Celery looks at the clock again after us: an ETA just above a second would fall below it.
CLOCK_MARGIN_SECONDS = 0.1


def at_least_a_second(
    countdown: float | None, eta: datetime | str | None, now: datetime
) -> tuple[float | None, datetime | str | None]:
    """The countdown and ETA to send with; a delay below one second becomes one second."""
    if eta:
        moment = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        left = subtract_datetimes(moment, now).total_seconds()
        if 0 < left < LEAST_SECONDS + CLOCK_MARGIN_SECONDS:
            return math.ceil(left), None
    elif countdown and 0 < countdown < LEAST_SECONDS:
        return LEAST_SECONDS, None
    return countdown, eta


def install(app: Celery) -> None:
    """Mend all this in `app.send_task`, which every way of sending a task goes through."""
    send_task = app.send_task

    @wraps(send_task)
    def send(
        name: str,
        args: object = None,
        kwargs: object = None,
        countdown: float | None = None,
        eta: datetime | str | None = None,
        *more: object,
        **options: Any,  # noqa: ANN401 # Celery's own
    ) -> AsyncResult:
        if countdown or eta:
            countdown, eta = at_least_a_second(countdown, eta, app.now())
        bounds = {"confirm_timeout": CONFIRM_SECONDS}
        options = {**bounds, **_group(app, options), **_by_queue(app, options)}
        with as_operational_error():
            try:
                return send_task(name, args, kwargs, countdown, eta, *more, **options)
            except NotFound:
                if not (countdown or eta):
                    raise
                delays.declare(app)
                return send_task(name, args, kwargs, countdown, eta, *more, **options)

    app.send_task = send


@contextmanager
def as_operational_error() -> Iterator[None]:
    """Let a RabbitMQ that is apart from its majority raise what one that is away raises."""
    try:
        yield
    except InternalError as error:
        raise OperationalError(str(error)) from error


def _group(app: Celery, options: Mapping[str, Any]) -> dict[str, Any]:
    """The group of an SQS message whose task is sent again: Celery's retry forgets it."""
    request = app.current_task.request if app.current_task else None
    if request is None or request.id != options.get("task_id"):
        return {}
    properties = request.properties or {}
    return {GROUP: properties[GROUP]} if GROUP in properties else {}


def _by_queue(app: Celery, options: dict[str, Any]) -> dict[str, Any]:
    """The options with a queue instead of the exchange and routing key that a retry brings."""
    if options.get("queue") or options.get("exchange") is None:
        return options
    queue = queues.delivered_from(app, options)
    if queue not in app.amqp.queues:
        return options
    kept = {name: value for name, value in options.items() if name not in _WAYS}
    return {**kept, "queue": queue}
