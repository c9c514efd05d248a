"""A lock in Redis that lasts for as long as its process lives, and little longer."""

import logging
import threading
import time
from types import TracebackType
from uuid import uuid4

from redis.exceptions import LockError

from celery_runtime.coordination.store import Store
from celery_runtime.errors import StoreAwayError

POLL_SECONDS = 0.1
#: How often a running task's lock is renewed within one lease: four renewals may fail.
RENEWALS_PER_LEASE = 5

# One step, so that no run leaves a result under a lock that another one holds by then. Where
# nobody holds it, a result that says "done" is better than none: it keeps duplicates from running.
_FINISH = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[1])
  return 1
end
if not holder then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3], 'NX')
end
return 0
"""

logger = logging.getLogger(__name__)


class Lease:
    """The right to do the work of one key, renewed by a thread (under gevent: a greenlet).

    Used as a context around the work: an error in it gives the lock back.
    """

    def __init__(self, store: Store, name: str, *, task_id: str, lease_seconds: float) -> None:
        self.name = name
        self._store = store
        self._task_id = task_id
        self._lease_seconds = lease_seconds
        # Not thread-local: it is taken by one thread and renewed by another.
        self._lock = store.redis.lock(name, timeout=lease_seconds, thread_local=False)
        self._token = f"{task_id}/{uuid4().hex}"
        self._ended = threading.Event()
        self._lost = False

    def take(self, *, wait_seconds: float) -> bool:
        """Whether the lock is ours now; waits for it no longer than told."""
        with self._store.asking():
            return bool(
                self._lock.acquire(
                    sleep=POLL_SECONDS,
                    blocking=wait_seconds > 0,
                    blocking_timeout=wait_seconds,
                    token=self._token,
                )
            )

    def held_by_other_task(self) -> bool:
        """Whether a message other than ours holds the lock.

        Our own message may hold it when it was delivered again after its worker was killed.
        """
        with self._store.asking():
            holder = self._store.redis.get(self.name)
        return holder is not None and not str(holder).startswith(f"{self._task_id}/")

    def give_back(self) -> None:
        """Let the next one have it at once; without Redis the lease ends by itself."""
        self._ended.set()
        try:
            with self._store.asking():
                self._lock.release()
        except StoreAwayError:
            pass
        except LockError:
            self._report_loss()

    def finish(self, result_name: str, text: str, *, ttl_seconds: float) -> None:
        """Leave the result and give the lock back.

        The work is done: nothing here raises. Redis is asked for as long as the lease may last;
        after that somebody else may have the lock.
        """
        self._ended.set()
        keys = [self.name, result_name]
        values: list[str | int] = [self._token, text, int(ttl_seconds * 1000)]
        deadline = time.monotonic() + self._lease_seconds
        while time.monotonic() < deadline:
            try:
                with self._store.asking():
                    held = self._store.redis.register_script(_FINISH)(keys=keys, args=values)
            except StoreAwayError:
                time.sleep(min(1, self._lease_seconds / RENEWALS_PER_LEASE))
            else:
                if not held:
                    self._report_loss()
                return
        logger.error(
            "%s: the work is done, but Redis is away and its result is not stored. A duplicate "
            "would do the work again.",
            self.name,
            extra={"task_id": self._task_id},
        )

    def __enter__(self) -> None:
        threading.Thread(target=self._renew, name=f"lease {self.name}", daemon=True).start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.give_back()

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_seconds / RENEWALS_PER_LEASE):
            try:
                with self._store.asking():
                    self._lock.reacquire()
            except StoreAwayError:
                continue
            except LockError:
                # The work may have ended while the answer was on its way.
                if not self._ended.is_set():
                    self._report_loss()
                return

    def _report_loss(self) -> None:
        if self._lost:
            return
        self._lost = True
        logger.error(
            "%s: the lock was lost before the work was done. The process stood still for longer "
            "than the lease of %g s, or Redis lost its data. Another run may have done the same "
            "work meanwhile.",
            self.name,
            self._lease_seconds,
            extra={"task_id": self._task_id},
        )
