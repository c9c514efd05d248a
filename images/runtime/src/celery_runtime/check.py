"""`python -m celery_runtime.check QUEUE…`: tell whether every queue has a consumer.

`helm test` asks this of a release. It waits for a broker and for workers that are still starting,
so that the command works right after `helm install`; it exits 1 and says what did not come.

RabbitMQ knows who consumes a queue; on Redis the workers themselves are asked. Amazon SQS tells
nobody: there the queues are looked for, which workers make at their start, and the answer says so.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import ChannelError, OperationalError

from celery_runtime import configure
from celery_runtime.errors import CeleryRuntimeError
from celery_runtime.logs import console

#: Less than the five minutes that `helm test` itself waits, so that its reason is seen.
WAIT_SECONDS = 240
POLL_SECONDS = 2
#: How long workers have for their answer.
ANSWER_SECONDS = 2
NOT_FOUND = "404"

IDLE = "No worker consumes %s. Are its pods ready?"
CONSUMED = "Every queue has a consumer: %s"
ABSENT = "SQS has no queue %s, or does not let this pod see it. Are the workers' pods ready?"
PRESENT = "Every queue can be reached: %s. SQS does not tell who consumes them."

logger = logging.getLogger("celery_runtime.check")


def main(queues: Sequence[str]) -> int:
    """Check the queues named on the command line; returns the exit code."""
    console.install()
    logging.getLogger().setLevel(logging.INFO)
    try:
        app = Celery("check")
        configure(app)
        idle = wait_for_consumers(lambda: consumers(app, queues), wait_seconds=WAIT_SECONDS)
        knows = _knows_consumers(app)
    except (CeleryRuntimeError, OperationalError) as error:
        logger.error("The consumers cannot be counted: %s", error)  # noqa: TRY400
        return 1
    if idle:
        logger.error(IDLE if knows else ABSENT, ", ".join(idle))
        return 1
    logger.info(CONSUMED if knows else PRESENT, ", ".join(queues))
    return 0


def wait_for_consumers(
    count: Callable[[], Mapping[str, int]],
    *,
    wait_seconds: float,
    poll_seconds: float = POLL_SECONDS,
) -> list[str]:
    """Return the queues that still have no consumer when the time is over.

    Raises:
        OperationalError: the broker cannot be asked, and the time is over.

    """
    deadline = time.monotonic() + wait_seconds
    while True:
        late = time.monotonic() >= deadline
        try:
            idle = [queue for queue, consuming in count().items() if not consuming]
        except OperationalError:
            if late:
                raise
        else:
            if late or not idle:
                return idle
        time.sleep(poll_seconds)


def consumers(app: Celery, queues: Iterable[str]) -> dict[str, int]:
    """Count the consumers of each queue; none where the queue is not there yet.

    On SQS a queue that is there counts as consumed.

    Raises:
        OperationalError: the broker cannot be asked.

    """
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
        try:
            return _COUNTS[connection.transport.driver_type](app, connection, queues)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _ask_rabbitmq(_: Celery, connection: Connection, queues: Iterable[str]) -> dict[str, int]:
    found = {queue: _declared(connection, queue) for queue in queues}
    return {queue: answer.consumer_count if answer else 0 for queue, answer in found.items()}


def _ask_workers(app: Celery, connection: Connection, queues: Iterable[str]) -> dict[str, int]:
    inspect = app.control.inspect(connection=connection, timeout=ANSWER_SECONDS)
    answers: Mapping[str, list[dict[str, Any]]] = inspect.active_queues() or {}
    consumed = [queue["name"] for answer in answers.values() for queue in answer]
    return {queue: consumed.count(queue) for queue in queues}


def _look_for_queues(_: Celery, connection: Connection, queues: Iterable[str]) -> dict[str, int]:
    return {queue: 1 if _declared(connection, queue) else 0 for queue in queues}


def _declared(connection: Connection, queue: str) -> Any:  # noqa: ANN401
    """What the broker says about a queue; None where it has none of this name."""
    # A channel each: the broker closes one that asks for a queue that does not exist.
    with connection.channel() as channel:  # type: ignore[no-untyped-call]
        try:
            return channel.queue_declare(queue=queue, passive=True)
        except ChannelError as error:
            if str(error.reply_code) != NOT_FOUND:
                raise
            return None


def _knows_consumers(app: Celery) -> bool:
    with app.connection_for_read() as connection:
        return bool(connection.transport.driver_type != "sqs")


_COUNTS = {"amqp": _ask_rabbitmq, "redis": _ask_workers, "sqs": _look_for_queues}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
