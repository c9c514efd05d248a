"""The schedule in Redis: RedBeat."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery.beat import ScheduleEntry
from redbeat.decoder import RedBeatJSONEncoder
from redbeat.schedulers import RedBeatScheduler, RedBeatSchedulerEntry, get_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError
from redis.exceptions import TimeoutError as RedisTimeoutError

from celery_runtime.beat.patient import LOCK, RETRY_SECONDS, Patient, warn_away
from celery_runtime.beat.probes import probes
from celery_runtime.brokers.redis import refuse_cluster
from celery_runtime.errors import LockNotHeldError

if TYPE_CHECKING:
    from redis.client import Pipeline

STORE_AWAY = (RedisConnectionError, RedisTimeoutError)


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
        refuse_cluster(get_redis(self.app), "resultBackend")
        probes.starting(LOCK)
        probes.expect_ticks(every_seconds=self.max_interval)

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
            warn_away("Redis", error)
            return False
        return True
