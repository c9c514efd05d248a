"""Messages on Redis and SQS, held while their worker lives."""

import logging
from typing import TYPE_CHECKING, Any

from celery import bootsteps

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

logger = logging.getLogger(__name__)


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
