"""From SIGTERM to the end: finish, give back what cannot be finished in time, and leave.

A worker that outlives its grace period is killed with its messages in its hands. RabbitMQ takes
them back when the connection breaks; Redis and SQS wait for the visibility timeout.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import bootsteps, signals
from celery.apps.worker import _shutdown_handler
from celery.utils.threads import bound_open_broker_sockets
from celery.worker import state

from celery_runtime.errors import SettingsError

if TYPE_CHECKING:
    from celery.worker import WorkController

DRAIN_VARIABLE = "CELERY_RUNTIME_DRAIN_SECONDS"
#: How long one answer of the broker is waited for, once the worker stops. It is asked up to five
#: times before the tasks are waited for.
ANSWER_SECONDS = 2
#: What is left to do after the last task takes no time, unless the broker does not answer.
GOODBYE_SECONDS = 10
LOOK_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Drain(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Bounds the shutdown of a worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: "WorkController", **options: Any) -> None:  # noqa: ANN401 # celery's own
        signals.worker_process_init.connect(_leave_the_group, weak=False)
        super().__init__(worker, **options)

    def start(self, worker: "WorkController") -> None:
        # Celery's handler of SIGQUIT, which REMAP_SIGTERM gives to SIGTERM too, sleeps and waits
        # inside the handler: that crashes under gevent.
        for name in ("SIGTERM", "SIGQUIT"):
            _shutdown_handler(worker, sig=name, how="Warm")
        self._drain_seconds = drain_seconds(worker.app.conf.worker_soft_shutdown_timeout)

    def close(self, worker: "WorkController") -> None:
        # To cancel a consumer means to wait for the broker's answer, before any task is waited for.
        if worker.consumer.connection:
            bound_open_broker_sockets(worker.consumer.connection, ANSWER_SECONDS)
        _in_background(_end, worker, self._drain_seconds)

    def stop(self, worker: "WorkController") -> None:
        """The pool, the consumer and the thread of `close` do what is to be done."""

    terminate = stop


def give_back(worker: "WorkController") -> None:
    """Put back the messages of the tasks that run, and end the tasks."""
    requests = tuple(state.active_requests)
    logger.warning("The time to drain is over: %d tasks are given back", len(requests))
    for request in requests:
        # First: under gevent Celery acknowledges the message of a task that is ended.
        request.reject(requeue=True)
    for request in requests:
        request.cancel(worker.pool, emit_retry=False)


def drain_seconds(soft_shutdown_seconds: float) -> float:
    """How long tasks may go on after SIGTERM; for ever where nobody said.

    Raises:
        SettingsError: what the environment says is no time.

    """
    stated = os.environ.get(DRAIN_VARIABLE) or str(soft_shutdown_seconds)
    try:
        return float(stated) or math.inf
    except ValueError as error:
        raise SettingsError(
            f"{DRAIN_VARIABLE} must be a number of seconds, not {stated!r}. Set it 15 below the "
            "pod's terminationGracePeriodSeconds."
        ) from error


def _end(worker: "WorkController", within_seconds: float) -> None:
    """End the process, unless it ends by itself meanwhile, which it does as a rule."""
    if not _comes_to_rest(within_seconds=within_seconds):
        # Not in this thread: a task may refuse to end.
        _in_background(give_back, worker)
        time.sleep(GOODBYE_SECONDS)
    logger.warning("The worker cannot end by itself: does the broker answer? Leaving without it")
    os._exit(worker.exitcode or 0)


def _comes_to_rest(*, within_seconds: float) -> bool:
    """Whether no task runs any more, and none did for the time of a goodbye."""
    now = busy_at = time.monotonic()
    deadline = now + within_seconds
    while now < busy_at + GOODBYE_SECONDS:
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        if state.active_requests:
            busy_at = now
            if now >= deadline:
                return False
    return True


def _in_background(act: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=act, args=arguments, name="shutdown", daemon=True).start()


def _leave_the_group(**_: object) -> None:
    """A SIGTERM for a whole process group is for the worker, not for the tasks that it finishes."""
    os.setpgid(0, 0)
