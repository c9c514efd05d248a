"""Exactly one schedule: RedBeat's scheduler, patient with brokers and stores that are away."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery import platforms
from celery.apps.beat import Beat
from celery.beat import SchedulingError, Service
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from redbeat.schedulers import RedBeatScheduler, RedBeatSchedulerEntry
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from celery_runtime import health
from celery_runtime.errors import LockNotHeldError

if TYPE_CHECKING:
    from celery.app.amqp import Connection, Producer

RETRY_SECONDS = 2.0
#: Ticks are a few seconds apart; one of them may wait for a slow broker.
STALE_AFTER_SECONDS = 60
STALE_AFTER_TICKS = 3

STORE_AWAY = (RedisConnectionError, RedisTimeoutError)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


class BeatProbes:
    """Live: ticks are fresh, or beat waits for what is away. Ready: ticks are fresh."""

    def __init__(self, *, clock: health.Clock = time.monotonic) -> None:
        self._clock = clock
        self._ticked_at: float | None = None
        self._waiting_for = "the schedule's store"
        self.stale_after_seconds: float = STALE_AFTER_SECONDS

    def starting(self, what: str) -> None:
        """No tick yet: beat waits in one call, and rightly for as long as it takes."""
        self._waiting_for = what

    def ticked(self) -> None:
        """A tick has ended, and what was due is sent."""
        self.waiting("")

    def waiting(self, what: str) -> None:
        """A tick has ended, but what it needs is away."""
        self._ticked_at, self._waiting_for = self._clock(), what

    def live(self) -> health.Verdict:
        """False when ticks have stopped."""
        silent_seconds = 0 if self._ticked_at is None else self._clock() - self._ticked_at
        if silent_seconds > self.stale_after_seconds:
            return health.Verdict(False, f"no tick of the schedule for {silent_seconds:.0f} s")
        waiting = self._waiting_for
        return health.Verdict(True, f"waiting for {waiting}" if waiting else "ticking")

    def ready(self) -> health.Verdict:
        """False while beat waits, and when ticks have stopped."""
        live = self.live()
        return health.Verdict(live.ok and not self._waiting_for, live.reason)


#: One beat a process: the program serves what the scheduler records.
probes = BeatProbes()


class Program(Beat):  # type: ignore[misc]  # celery has no types
    """`celery beat` without its banner and with probes."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 # what the command line has
        super().__init__(**{**options, "quiet": True})

    def start_scheduler(self) -> None:
        # Before the scheduler exists: making it already waits for Redis.
        health.serve(probes)
        super().start_scheduler()

    def install_sync_handler(self, service: Service) -> None:  # noqa: ARG002 # celery passes it
        """Leave on SIGTERM and SIGINT; the service closes its scheduler on the way out.

        Celery's own handler asks for the scheduler, and would make a second one while the first
        still waits for Redis.
        """
        platforms.signals.update(SIGTERM=_leave, SIGINT=_leave)


class Scheduler(RedBeatScheduler):  # type: ignore[misc]  # redbeat has no types
    """RedBeat, which survives an outage of the broker or of Redis and tells the probes.

    What is due during an outage is sent once when the outage ends.
    """

    _unsent = False

    def setup_schedule(self) -> None:
        """Write the schedule to Redis, and take out what the settings no longer have."""
        while not self._with_store(super().setup_schedule):
            probes.starting("Redis")
            time.sleep(RETRY_SECONDS)
        probes.starting("the lock that another beat holds")
        probes.stale_after_seconds = max(STALE_AFTER_SECONDS, STALE_AFTER_TICKS * self.max_interval)

    def tick(self, **options: object) -> float:
        """Send what is due; the seconds to the next tick."""
        if self.lock_key and self.lock is None:
            raise LockNotHeldError(
                "Redis went away while beat waited for the schedule's lock. Beat starts again."
            )
        self._unsent = False
        try:
            delay = float(super().tick(**options))
        except STORE_AWAY as error:
            return self._wait("Redis", error)
        except OperationalError as error:
            return self._wait("the broker", error)
        if self._unsent:
            return RETRY_SECONDS
        probes.ticked()
        return delay

    def apply_async(
        self,
        entry: RedBeatSchedulerEntry,
        producer: "Producer | None" = None,
        **options: object,
    ) -> AsyncResult:
        """Send an entry; when the broker is away it stays due."""
        try:
            return super().apply_async(entry, producer=producer, **options)
        except SchedulingError as error:
            # Celery moves an entry on before it sends, so that a crash in between sends nothing
            # twice. A send that the broker did not take is moved back.
            if isinstance(error.__context__, OperationalError):
                self._unsent = True
                self._wait("the broker", error.__context__)
                entry.reschedule(entry.last_run_at or LONG_AGO)
            raise

    def close(self) -> None:
        """Give the lock back, so that a successor starts at once."""
        self._with_store(super().close)

    def _ensure_connected(self) -> "Connection":
        # Not Celery's retry for ever: the lock must be kept alive between two attempts.
        return self.connection.ensure_connection(max_retries=0)

    def _with_store(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except STORE_AWAY as error:
            _warn("Redis", error)
            return False
        return True

    def _wait(self, what: str, error: Exception) -> float:
        _warn(what, error)
        probes.waiting(what)
        return RETRY_SECONDS


def _leave(*_: object) -> None:
    raise SystemExit


def _warn(what: str, error: Exception) -> None:
    logger.warning("beat: %s is away: %s", what, error)
