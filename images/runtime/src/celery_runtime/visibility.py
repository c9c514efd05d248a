"""How long Redis and SQS wait for a worker before they deliver its message to another.

The timeout starts when a message is fetched. A worker that lives renews it for whatever it
holds, so that neither a countdown nor a task longer than the timeout runs twice; what a killed
worker held comes back when the timeout has passed.
"""

import logging
from typing import TYPE_CHECKING, Any

from celery import bootsteps

from celery_runtime.document import Table

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

KEY = "visibilityTimeoutSeconds"
#: On top of the longest task: the worker must stop it by its own limit, and report.
MARGIN_SECONDS = 60
#: For an app that does not say how long its tasks take.
DEFAULT_TIMEOUT_SECONDS = 1800
#: Two renewals may fail before a message is given to another worker.
RENEWALS_PER_TIMEOUT = 3

logger = logging.getLogger(__name__)


def timeout_seconds(max_task_seconds: int | None) -> int:
    """The timeout that follows from the longest task."""
    return max_task_seconds + MARGIN_SECONDS if max_task_seconds else DEFAULT_TIMEOUT_SECONDS


def parse(table: Table, *, most: int) -> int | None:
    """The timeout that the broker section states, if it states one."""
    return table.integer(KEY, 1, least=1, most=most) if KEY in table else None


def renewal_interval_seconds(timeout_seconds: float) -> float:
    """How often to renew what is held."""
    return timeout_seconds / RENEWALS_PER_TIMEOUT


class Tending(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Renews what this worker holds, and puts back what a lost worker held.

    kombu puts back only where it has an event loop: under gevent it never does.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: "Consumer", **options: object) -> None:
        self._channel: Any = None
        super().__init__(consumer, **options)

    def include_if(self, consumer: "Consumer") -> bool:
        """Where messages have a timeout: on Redis and SQS."""
        return "visibility_timeout" in consumer.app.conf.broker_transport_options

    def start(self, consumer: "Consumer") -> None:
        channel = self._channel = consumer.task_consumer.channel

        def tend() -> None:
            # Not a repeated call: under gevent those cannot be cancelled.
            if self._channel is not channel:
                return
            try:
                channel.tend()
            except consumer.connection_errors as error:
                # The consumer finds out by itself that the broker is away.
                logger.warning("Held messages could not be tended: %r", error)
            consumer.timer.call_after(channel.tend_interval_seconds, tend)

        consumer.timer.call_after(channel.tend_interval_seconds, tend)

    def stop(self, consumer: "Consumer") -> None:  # noqa: ARG002 # celery passes it
        self._channel = None
