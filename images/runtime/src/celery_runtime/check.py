"""`python -m celery_runtime.check QUEUE…`: tell whether every queue has a consumer.

`helm test` asks this of a release. It waits for a broker and for workers that are still starting,
so that the command works right after `helm install`; it exits 1 and says what did not come.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from amqp.exceptions import NotFound
from celery import Celery
from kombu.exceptions import OperationalError

from celery_runtime import configure, logs
from celery_runtime.errors import CeleryRuntimeError

#: Less than the five minutes that `helm test` itself waits, so that its reason is seen.
WAIT_SECONDS = 240
POLL_SECONDS = 2

logger = logging.getLogger("celery_runtime.check")


def main(queues: Sequence[str]) -> int:
    """Check the queues named on the command line; returns the exit code."""
    logs.install()
    logging.getLogger().setLevel(logging.INFO)
    try:
        app = Celery("check")
        configure(app)
        idle = wait_for_consumers(lambda: consumers(app, queues), wait_seconds=WAIT_SECONDS)
    except (CeleryRuntimeError, OperationalError) as error:
        logger.error("The consumers cannot be counted: %s", error)  # noqa: TRY400
        return 1
    if idle:
        logger.error("No worker consumes %s. Are its pods ready?", ", ".join(idle))
        return 1
    logger.info("Every queue has a consumer: %s", ", ".join(queues))
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
    """Ask the broker how many consumers each queue has; none where the queue is not there yet.

    Raises:
        OperationalError: the broker cannot be asked.

    """
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
        return {queue: _count(connection, queue) for queue in queues}


def _count(connection: "object", queue: str) -> int:
    # A channel each: the broker closes one that asks for a queue that does not exist.
    with connection.channel() as channel:  # type: ignore[attr-defined]
        try:
            return int(channel.queue_declare(queue=queue, passive=True).consumer_count)
        except NotFound:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
