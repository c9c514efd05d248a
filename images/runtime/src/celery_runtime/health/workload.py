"""What Celery's worker knows of its own work, as the probes ask for it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery.concurrency import solo
from celery.worker import state

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer
    from celery.worker.request import Request


class ThisProcess:
    """The worker's main process."""

    def __init__(self) -> None:
        #: Set where the worker stops by itself, after an error.
        self.stopping = False

    def draining(self) -> bool:
        """True from the signal to stop."""
        # Exit code 0 is a reason to stop like any other, and equal to False.
        return self.stopping or any(
            flag is not None and flag is not False
            for flag in (state.should_stop, state.should_terminate)
        )

    def running(self) -> int:
        """How many tasks run."""
        return len(state.active_requests)


class Consumption:
    """A consumer that has the broker."""

    def __init__(self, consumer: "Consumer") -> None:
        self._consumer = consumer

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Run this in the next turn of the loop."""
        return self._consumer.call_soon(callback)

    def held_up(self) -> bool:
        """True where tasks run in the loop's own thread, fill it, and may take their time."""
        pool = self._consumer.pool
        in_loop = getattr(pool, "is_green", False) or isinstance(pool, solo.TaskPool)
        running = tuple(state.active_requests) if in_loop else ()
        return bool(running) and len(running) >= pool.num_processes and not self._overdue(running)

    def slots_free(self) -> bool:
        """True when the worker holds fewer messages than it has slots."""
        # Held are also tasks with an ETA, and those that wait for a token of their rate limit.
        buckets = tuple(self._consumer.task_buckets.values())
        limited = sum(len(bucket.contents) for bucket in buckets if bucket)
        held = len(state.reserved_requests) + len(state.scheduled_requests) + limited
        return bool(held < self._consumer.pool.num_processes)

    def _overdue(self, running: "tuple[Request, ...]") -> bool:
        # Solo and eventlet do not enforce a time limit: a task that is past it will hold up the
        # loop for ever.
        now = time.time()
        return any(
            now - request.time_start > limit
            for request in running
            if request.time_start and (limit := self._limit_seconds(request))
        )

    def _limit_seconds(self, request: "Request") -> float | None:
        own, _ = request.time_limits
        return own or request.task.time_limit or self._consumer.controller.time_limit or None
