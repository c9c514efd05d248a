"""Exactly one schedule: in Redis or in a file, patient with what is away."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from celery import platforms
from celery.apps.beat import Beat
from celery.beat import PersistentScheduler, ScheduleEntry, SchedulingError, Service
from celery.beat import Scheduler as BaseScheduler
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from redbeat.decoder import RedBeatJSONEncoder
from redbeat.schedulers import RedBeatScheduler, RedBeatSchedulerEntry, get_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError
from redis.exceptions import TimeoutError as RedisTimeoutError

from celery_runtime import health
from celery_runtime.errors import CeleryRuntimeError, LockNotHeldError, SettingsError

if TYPE_CHECKING:
    from celery.app.amqp import Connection, Producer
    from redis.client import Pipeline

RETRY_SECONDS = 2.0
#: Ticks are a few seconds apart; one of them may wait for a slow broker.
STALE_AFTER_SECONDS = 60
STALE_AFTER_TICKS = 3

METRIC = "celery_beat_last_{}_timestamp_seconds"
METRICS = {
    "tick": "When everything that was due had been sent.",
    "sent": "When the broker took a task.",
}

STORE_AWAY = (RedisConnectionError, RedisTimeoutError)
LOCK = "the lock that another beat holds"

logger = logging.getLogger(__name__)


class BeatProbes:
    """Live: ticks are fresh, or beat waits for what is away. Ready: ticks are fresh."""

    def __init__(self, *, clock: health.Clock = time.monotonic) -> None:
        self._clock = clock
        self._ticked_at: float | None = None
        self._waiting_for = "the schedule's store"
        self._stamps = dict.fromkeys(METRICS, 0.0)
        self.stale_after_seconds: float = STALE_AFTER_SECONDS

    def starting(self, what: str) -> None:
        """No tick yet: beat waits in one call, and rightly for as long as it takes."""
        self._waiting_for = what

    def ticked(self) -> None:
        """A tick has ended, and what was due is sent."""
        self._stamps["tick"] = time.time()
        self.waiting("")

    def sent(self) -> None:
        """The broker has taken a task."""
        self._stamps["sent"] = time.time()

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

    def metrics(self) -> str:
        """When beat last did its work, for Prometheus; 0 for never."""
        return "".join(
            f"# HELP {METRIC.format(key)} {meaning}\n# TYPE {METRIC.format(key)} gauge\n"
            f"{METRIC.format(key)} {self._stamps[key]:.3f}\n"
            for key, meaning in METRICS.items()
        )


#: One beat a process: the program serves what the scheduler records.
probes = BeatProbes()


class Program(Beat):  # type: ignore[misc]  # celery has no types
    """`celery beat` without its banner and with probes."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 # what the command line has
        super().__init__(**{**options, "quiet": True})

    def start_scheduler(self) -> None:
        # Before the scheduler exists: making it already waits for Redis.
        health.serve(probes, pages={"/metrics": probes.metrics})
        # Celery would subscribe to the result of each task here, where nobody waits for one: more
        # memory with each send, and no send while the store of results is away.
        self.app.backend.on_task_call = lambda *_: None
        try:
            super().start_scheduler()
        except CeleryRuntimeError:
            # Celery has logged it.
            raise SystemExit(1) from None

    def install_sync_handler(self, service: Service) -> None:  # noqa: ARG002 # celery passes it
        """Leave on SIGTERM and SIGINT; the service closes its scheduler on the way out.

        Celery's own handler asks for the scheduler, and would make a second one while the first
        still waits for Redis.
        """
        platforms.signals.update(SIGTERM=_leave, SIGINT=_leave)


class Patient(BaseScheduler):  # type: ignore[misc]  # celery has no types
    """A scheduler that survives an outage of the broker and tells the probes.

    What is due during an outage is sent once when the outage ends.
    """

    _unsent = False

    def put_back(self, entry: ScheduleEntry) -> None:
        """Make an entry due again that was moved on and not sent."""
        raise NotImplementedError

    def tick(self, **options: object) -> float:
        """Send what is due; the seconds to the next tick."""
        self._unsent = False
        try:
            delay = float(super().tick(**options))
        except OperationalError as error:
            return self.wait_for("the broker", error)
        if self._unsent:
            return RETRY_SECONDS
        probes.ticked()
        return delay

    def apply_async(
        self, entry: ScheduleEntry, producer: "Producer | None" = None, **options: object
    ) -> AsyncResult:
        """Send an entry; when the broker is away it stays due."""
        try:
            result = super().apply_async(entry, producer=producer, **options)
        except SchedulingError as error:
            # Celery moves an entry on before it sends, so that a crash in between sends nothing
            # twice. A send that the broker did not take is moved back.
            if isinstance(error.__context__, OperationalError):
                self.unsent("the broker", error.__context__)
                self.put_back(entry)
            raise
        probes.sent()
        return result

    def unsent(self, what: str, error: Exception) -> None:
        """An entry is due and cannot be sent: the tick is not complete."""
        self._unsent = True
        self.wait_for(what, error)

    def wait_for(self, what: str, error: Exception) -> float:
        """Say what is away; the seconds to the next attempt."""
        _warn(what, error)
        probes.waiting(what)
        return RETRY_SECONDS

    def _ensure_connected(self) -> "Connection":
        # Not Celery's retry for ever: the lock must be kept alive between two attempts.
        return self.connection.ensure_connection(max_retries=0)


class Scheduler(Patient, RedBeatScheduler):  # type: ignore[misc]  # redbeat has no types
    """RedBeat, which survives an outage of Redis and writes only while it holds the lock."""

    _lost = False
    _has_written = False

    def __init__(self, *arguments: object, **options: object) -> None:
        self._unwritten: list[RedBeatSchedulerEntry] = []
        super().__init__(*arguments, **options)

    def setup_schedule(self) -> None:
        """Wait for Redis; the lock comes next, and only who has it writes the schedule."""
        while not self._with_store(get_redis(self.app).ping):
            probes.starting("Redis")
            time.sleep(RETRY_SECONDS)
        probes.starting(LOCK)
        probes.stale_after_seconds = max(STALE_AFTER_SECONDS, STALE_AFTER_TICKS * self.max_interval)

    def tick(self, **options: object) -> float:
        """Send what is due; the seconds to the next tick.

        Raises:
            LockNotHeldError: another beat may send, or may have sent.

        """
        if self.lock_key and self.lock is None:
            raise LockNotHeldError(
                "Redis went away while beat waited for the schedule's lock. Beat starts again."
            )
        try:
            if not self._has_written:
                super().setup_schedule()
                self._has_written = True
            self._write_back()
            return super().tick(**options)
        except STORE_AWAY as error:
            return self.wait_for("Redis", error)
        except LockError as error:
            raise self._lock_lost() from error

    def maybe_due(self, entry: RedBeatSchedulerEntry, **options: object) -> float:
        """Send an entry that is due; the seconds until it is, or may be tried again."""
        # What one entry could not have, the next ones of this tick will not have either.
        if self._unsent:
            return RETRY_SECONDS
        seconds = float(super().maybe_due(entry, **options))
        if self._lost:
            raise self._lock_lost()
        return seconds

    def reserve(self, entry: RedBeatSchedulerEntry) -> RedBeatSchedulerEntry:
        """Move an entry on before it is sent."""
        advanced = ScheduleEntry._next_instance(entry)
        try:
            self._write(advanced)
        except STORE_AWAY as error:
            self.unsent("Redis", error)
            # It may be written, and only the answer lost.
            self._unwritten.append(entry)
            raise
        return advanced

    def put_back(self, entry: RedBeatSchedulerEntry) -> None:
        """Make an entry due again that was moved on and not sent."""
        self._unwritten.append(entry)
        self._write_back()

    def close(self) -> None:
        """Give the lock back, so that a successor starts at once."""
        self._with_store(super().close)

    def _write_back(self) -> None:
        # Redis may be away with the broker: what could not be put back is, at a later tick.
        while self._unwritten:
            self._write(self._unwritten[-1])
            self._unwritten.pop()

    def _write(self, entry: RedBeatSchedulerEntry) -> None:
        # Since the tick looked at the lock beat may have stood still (a node that was away) for
        # longer than the lock holds. One transaction asks and writes: of two beats that live, only
        # the holder of the lock moves an entry on, and only who moves it on sends it.
        times = {"last_run_at": entry.last_run_at, "total_run_count": entry.total_run_count}

        def write(pipe: "Pipeline") -> None:
            if self.lock and not self.lock.owned():
                self._lost = True
                raise self._lock_lost()
            pipe.multi()
            pipe.hset(entry.key, "meta", json.dumps(times, cls=RedBeatJSONEncoder))
            pipe.zadd(self.app.redbeat_conf.schedule_key, {entry.key: entry.score})
            if self.lock:
                pipe.pexpire(self.lock_key, int(self.lock_timeout * 1000))

        get_redis(self.app).transaction(write, *([self.lock_key] if self.lock else []))

    def _lock_lost(self) -> LockNotHeldError:
        return LockNotHeldError(
            f"The schedule's lock ran out: beat or Redis stood still for more than "
            f"{self.lock_timeout:.0f} s, and another beat may have taken over. Beat starts again."
        )

    def _with_store(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except STORE_AWAY as error:
            _warn("Redis", error)
            return False
        return True


class VolumeScheduler(Patient, PersistentScheduler):  # type: ignore[misc]  # celery has no types
    """The schedule in a file, with a lock beside it against a second beat on the same node."""

    #: Not RedBeat's: its receiver of the signal beat_init finds nothing to take.
    lock_key = None

    def setup_schedule(self) -> None:
        """Open the file, once no other beat has it open."""
        self._lock = _opened(Path(f"{self.schedule_filename}.lock"))
        while not _locked(self._lock):
            probes.starting(LOCK)
            time.sleep(RETRY_SECONDS)
        super().setup_schedule()
        probes.stale_after_seconds = max(STALE_AFTER_SECONDS, STALE_AFTER_TICKS * self.max_interval)

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:
        """Connect, then move an entry on and write that down, all before it is sent."""
        # Celery has taken the entry from its heap: made anew, it has the entry in every case.
        self._heap = None
        self.producer  # noqa: B018 # a property that connects
        advanced = super().reserve(entry)
        self.sync()
        return advanced

    def put_back(self, entry: ScheduleEntry) -> None:
        """Make an entry due again that was moved on and not sent."""
        self.schedule[entry.name] = entry
        self.sync()

    def close(self) -> None:
        """Close the file and give the lock back."""
        super().close()
        self._lock.close()


def _leave(*_: object) -> None:
    raise SystemExit


def _warn(what: str, error: Exception) -> None:
    logger.warning("beat: %s is away: %s", what, error)


def _opened(file: Path) -> TextIO:
    try:
        return file.open("w")
    except OSError as error:
        raise SettingsError(
            f"The schedule cannot be kept in {file.parent}: {error}. It must be a directory that "
            f"uid {os.getuid()} may write to: check the volume and fsGroup."
        ) from error


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
