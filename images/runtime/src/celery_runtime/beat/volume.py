"""The schedule in a file on a volume."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any, TextIO

from celery.beat import PersistentScheduler, ScheduleEntry

from celery_runtime.beat.patient import LOCK, RETRY_SECONDS, Patient
from celery_runtime.beat.probes import probes
from celery_runtime.errors import SettingsError


class Scheduler(Patient, PersistentScheduler):  # type: ignore[misc]  # celery has no types
    """The schedule in a file, with a lock beside it against a second beat on the same node."""

    #: Not RedBeat's: its receiver of the signal beat_init finds nothing to take.
    lock_key = None
    _store: Any

    def setup_schedule(self) -> None:
        """Open the file, once no other beat has it open."""
        self._lock = _opened(Path(f"{self.schedule_filename}.lock"))
        while not _locked(self._lock):
            probes.starting(LOCK)
            time.sleep(RETRY_SECONDS)
        super().setup_schedule()
        probes.expect_ticks(every_seconds=self.max_interval)

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

    def sync(self) -> None:
        """Write down what has changed, so that a kill does not undo it."""
        super().sync()
        if self._store is not None and not hasattr(self._store.dict, "sync"):
            # dbm.ndbm, which Debian's own Python takes, keeps what it is given until it is closed.
            self._store.close()
            self._store = self._open_schedule()

    def close(self) -> None:
        """Close the file and give the lock back."""
        super().close()
        self._lock.close()


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
