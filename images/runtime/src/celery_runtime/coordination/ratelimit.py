"""`TokenBucket`: a rate that all workers keep together, without a slot being held for it."""

import inspect
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

from celery import Task

from celery_runtime.coordination import calls, store
from celery_runtime.coordination.calls import Key
from celery_runtime.coordination.putback import put_back
from celery_runtime.coordination.store import Store, WhenAway
from celery_runtime.errors import StoreAwayError, TaskDefinitionError

P = ParamSpec("P")
R = TypeVar("R")

#: Slots are reserved this far ahead. A longer backlog comes back to ask again.
HORIZON_SECONDS = 60
#: How late a reserved run may be before the rate of all runs is looked at.
GRACE_SECONDS = 5
#: The header that carries a reserved slot, in microseconds of Redis' clock.
SLOT_HEADER = "celery_runtime_slot"

_MICROSECONDS = 1_000_000
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"([1-9]\d*)/([smh])")

# GCRA by the server's clock: `next` is when the slot after the last reserved one begins.
# `runs` is the same measure of what really ran. A message comes back behind whatever waits in its
# queue: one that is late runs while the rate of all runs allows it, and else asks anew. So neither
# a busy queue makes reservations worthless, nor do all of them run at once after workers were away.
_ASK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance, horizon, grace, reserved = tonumber(ARGV[1]), tonumber(ARGV[2]),
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HMGET', KEYS[1], 'next', 'runs')
local next = math.max(now, tonumber(known[1]) or 0)
local runs = math.max(now, tonumber(known[2]) or 0)

local slot
if reserved > 0 and (now - reserved <= grace or runs - now <= tolerance + grace) then
  slot = now
else
  slot = math.max(now, next - tolerance)
  if slot - now > horizon then return {0, slot - now} end
  next = next + interval
end
if slot == now then runs = runs + interval end
redis.call('HSET', KEYS[1], 'next', next, 'runs', runs)
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(next, runs) - now) / 1000) + 1000)
return {slot, slot - now}
"""


@dataclass(frozen=True)
class Slot:
    """When a run may be; `reserved_at` is 0 where the slot is too far off to be kept."""

    reserved_at: int
    wait_seconds: float


class TokenBucket:
    """A rate for all tasks that it decorates, on all workers: `@TokenBucket("smtp", …)`.

    A task that has no token is put back until its slot comes; the slot is reserved, so that it
    does not compete again. A call without a message (`task()`, `apply()`) is not limited.

    Args:
        name: what is limited; buckets of one name share their tokens.
        rate: such as "100/s", "10/m" or "6/h".
        burst: how many may run at once after a pause.
        key: a bucket of its own for each value of a template over the call's arguments, or of
            what a callable makes of them; one bucket for all calls unless told.
        when_away: without Redis, "refuse" puts the task back, "run" runs it without limit.

    Raises:
        TaskDefinitionError: an option cannot work.

    """

    def __init__(
        self,
        name: str,
        *,
        rate: str,
        burst: int,
        key: Key | None = None,
        when_away: WhenAway = "refuse",
    ) -> None:
        what = f"TokenBucket({name!r})"
        calls.check_choice(f"{what}: when_away", when_away, "refuse", "run")
        calls.check_positive(f"{what}: burst", burst)
        self._name = name
        self._interval_seconds = interval_seconds(what, rate)
        self._burst = burst
        self._key = key
        self._when_away = when_away

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Limit a task's function."""
        if hasattr(function, "_celery_runtime_bucket"):
            raise TaskDefinitionError(
                f"{function.__qualname__}: a second TokenBucket cannot keep the slot that the "
                "first has reserved. Use one for a task, of the lower rate."
            )
        key_of = None if self._key is None else calls.key_of(self._key, function)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            task = calls.running_task(function)
            if calls.has_message(task):
                self._pass(task, () if key_of is None else (key_of(args, kwargs),))
            return function(*args, **kwargs)

        # Celery checks the arguments of a call by this.
        run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        run._celery_runtime_bucket = self  # type: ignore[attr-defined]
        return run

    def ask(self, tokens: Store, *key: str, reserved: int = 0) -> Slot:
        """The next free slot, or now for one that was reserved; raises StoreAwayError."""
        tolerance = (self._burst - 1) * self._interval_seconds
        seconds = (self._interval_seconds, tolerance, HORIZON_SECONDS, GRACE_SECONDS)
        script = tokens.redis.register_script(_ASK)
        with tokens.asking():
            at, wait = script(
                keys=[tokens.key("bucket", self._name, *key)],
                args=[*(value * _MICROSECONDS for value in seconds), reserved],
            )
        return Slot(reserved_at=int(at), wait_seconds=int(wait) / _MICROSECONDS)

    def _pass(self, task: Task, key: Sequence[str]) -> None:
        reserved = take_reservation(task)
        try:
            slot = self.ask(store.of(task.app), *key, reserved=reserved)
        except StoreAwayError as away:
            if self._when_away == "run":
                return
            store.refuse(task, away)
        if slot.wait_seconds > 0:
            self._put_back(task, slot)

    def _put_back(self, task: Task, slot: Slot) -> NoReturn:
        headers = {SLOT_HEADER: slot.reserved_at} if slot.reserved_at else {}
        put_back(
            task,
            delay_seconds=delay_seconds(slot),
            reason=f"No token in {self._name}.",
            headers=headers,
        )


def interval_seconds(what: str, rate: str) -> float:
    """The time between two tokens.

    Raises:
        TaskDefinitionError: the rate is not of the accepted form.

    """
    match = _RATE.fullmatch(rate)
    if match is None:
        raise TaskDefinitionError(
            f"{what}: rate={rate!r} is not a number per second, minute or hour. Write it as in "
            '"100/s", "10/m" or "6/h".'
        )
    return _UNIT_SECONDS[match[2]] / int(match[1])


def delay_seconds(slot: Slot, *, chance: Callable[[], float] = random.random) -> float:
    """When to come back: at the slot, or at some moment when one may be reserved."""
    if slot.reserved_at:
        return slot.wait_seconds
    first_chance_seconds = slot.wait_seconds - HORIZON_SECONDS
    return first_chance_seconds + HORIZON_SECONDS * (1 + chance()) / 2


def take_reservation(task: Task) -> int:
    """The slot that the message carries, or 0; taken off, so that a retry of the task asks anew."""
    headers: Mapping[str, Any] = task.request.headers or {}
    task.request.headers = {name: headers[name] for name in headers if name != SLOT_HEADER}
    return int(headers.get(SLOT_HEADER, 0))
