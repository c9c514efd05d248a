"""Where a worker tells its probes what they need to know."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from celery import bootsteps, signals

from celery_runtime.errors import SettingsError
from celery_runtime.health.backlog import BrokerBacklog, Watch
from celery_runtime.health.probes import STUCK_AFTER_SECONDS, WorkerProbes
from celery_runtime.health.server import serve
from celery_runtime.health.work import PATH, WorkPage
from celery_runtime.health.workload import Consumption, ThisProcess
from celery_runtime.worker import counting

if TYPE_CHECKING:
    from celery.worker import WorkController
    from celery.worker.consumer import Consumer

STUCK_AFTER_VARIABLE = "CELERY_RUNTIME_STUCK_AFTER_SECONDS"
#: Under gevent and eventlet the loop turns every 2 s.
LEAST_STUCK_AFTER_SECONDS = 5

#: One of them follows each message that the consumer takes, good or bad.
MESSAGE_SIGNALS = (
    signals.task_received,
    signals.task_revoked,
    signals.task_rejected,
    signals.task_unknown,
)

logger = logging.getLogger(__name__)


class ProbeServer(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Serves the probes from the main process of a worker.

    It starts after the pool, so that the first children never see the socket, and before the
    consumer, which waits for the broker. It is never stopped: a worker that drains still answers.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: "WorkController", **options: object) -> None:
        seconds = stuck_after_seconds(os.environ)
        self._process = ThisProcess()
        worker.probes = WorkerProbes(self._process, stuck_after_seconds=seconds)
        super().__init__(worker, **options)

    def start(self, worker: "WorkController") -> None:
        probes = worker.probes
        for signal in MESSAGE_SIGNALS:
            signal.connect(probes.fetched, weak=False)
        counting.install()
        serve(probes, documents={PATH: WorkPage(worker, self._process)})
        backlog = BrokerBacklog(worker.app, heartbeat_seconds=probes.stuck_after_seconds)
        Watch(probes, backlog).start()

    def close(self, worker: "WorkController") -> None:  # noqa: ARG002 # celery passes it
        self._process.stopping = True
        logger.info("Shutting down: %d tasks to finish", self._process.running())

    def stop(self, worker: "WorkController") -> None:
        """Nothing to stop: the thread ends with the process."""

    terminate = stop


class ConsumerSigns(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Tells the probes when the consumer has the broker and when it has lost it."""

    # Last before the loop: what is slow or fails on the way is "waiting for the broker".
    requires = (
        "celery.worker.consumer.tasks:Tasks",
        "celery.worker.consumer.delayed_delivery:DelayedDelivery",
        "celery_runtime.deadletter.declaration:DeadLetters",
    )

    def start(self, consumer: "Consumer") -> None:
        consumer.controller.probes.connected(Consumption(consumer))

    def stop(self, consumer: "Consumer") -> None:
        consumer.controller.probes.disconnected()


def stuck_after_seconds(environment: Mapping[str, str]) -> int:
    """After how long a worker is called stuck.

    Raises:
        SettingsError: the environment says something else than a number of seconds.

    """
    text = environment.get(STUCK_AFTER_VARIABLE) or str(STUCK_AFTER_SECONDS)
    if not text.isdecimal() or int(text) < LEAST_STUCK_AFTER_SECONDS:
        raise SettingsError(
            f"{STUCK_AFTER_VARIABLE} must be a whole number of seconds, at least "
            f"{LEAST_STUCK_AFTER_SECONDS}, not {text!r}. Correct it, or leave it unset for "
            f"{STUCK_AFTER_SECONDS}."
        )
    return int(text)
