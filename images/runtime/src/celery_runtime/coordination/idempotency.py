"""`@once`: a task whose effect is wanted once, however often its message comes."""

import inspect
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, NoReturn, ParamSpec, TypeVar

from celery import Task
from kombu.utils.json import JSONEncoder, object_hook

from celery_runtime.coordination import calls, store
from celery_runtime.coordination.calls import Key
from celery_runtime.coordination.lease import Lease
from celery_runtime.coordination.putback import put_back
from celery_runtime.coordination.store import WhenAway
from celery_runtime.errors import (
    DuplicateInFlightError,
    ResultNotStorableError,
    StoreAwayError,
    TaskDefinitionError,
)

P = ParamSpec("P")
R = TypeVar("R")
InFlight = Literal["wait", "retry", "reject"]

DEFAULT_WAIT_SECONDS = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """What was declared about a task's duplicates."""

    ttl_seconds: float
    in_flight: InFlight
    wait_seconds: float
    retry_seconds: float
    lease_seconds: float
    when_away: WhenAway


@dataclass(frozen=True)
class Done:
    """How the work of a key ended: with a result, or with one that could not be stored."""

    result: Any = None
    problem: str | None = None

    def outcome(self) -> Any:  # noqa: ANN401 # whatever the task returned
        """What the first run returned, or the error that it ended with."""
        if self.problem is not None:
            raise ResultNotStorableError(self.problem)
        return self.result


def once(
    *,
    key: Key,
    ttl_seconds: float,
    in_flight: InFlight = "wait",
    wait_seconds: float | None = None,
    retry_seconds: float = 10,
    lease_seconds: float = 30,
    when_away: WhenAway = "refuse",
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare, under `@app.task`, that calls with one key are to have one effect.

    The first run that returns leaves its result in Redis; for `ttl_seconds` every other call with
    its key gets that result and does not run. A run that raises (Retry, Ignore and Reject
    included) leaves nothing, so that it can be tried again.

    Args:
        key: a template over the call's arguments, as in "charge:{order_id}", or a callable that
            takes them by name and returns a string.
        ttl_seconds: for how long duplicates are recognised.
        in_flight: what a duplicate does while the first still runs: "wait" for its result, be put
            back to "retry" later, or "reject" itself with DuplicateInFlightError.
        wait_seconds: how long "wait" holds its slot before it is put back; 5 unless told.
        retry_seconds: the delay of a duplicate that is put back.
        lease_seconds: how long a killed worker's lock blocks duplicates.
        when_away: without Redis, "refuse" puts the task back, "run" runs it unprotected.

    Raises:
        TaskDefinitionError: an option cannot work for this function.

    """
    if wait_seconds is not None and in_flight != "wait":
        raise TaskDefinitionError(
            f'@once: wait_seconds has a meaning only with in_flight="wait", not {in_flight!r}.'
        )
    default_wait_seconds = DEFAULT_WAIT_SECONDS if in_flight == "wait" else 0
    policy = Policy(
        ttl_seconds=ttl_seconds,
        in_flight=in_flight,
        wait_seconds=default_wait_seconds if wait_seconds is None else wait_seconds,
        retry_seconds=retry_seconds,
        lease_seconds=lease_seconds,
        when_away=when_away,
    )
    _check(policy)
    return lambda function: _protected(function, key, policy)


def _check(policy: Policy) -> None:
    calls.check_choice("@once: in_flight", policy.in_flight, "wait", "retry", "reject")
    calls.check_choice("@once: when_away", policy.when_away, "refuse", "run")
    for option in ("ttl_seconds", "retry_seconds", "lease_seconds"):
        calls.check_positive(f"@once: {option}", getattr(policy, option))
    if policy.in_flight == "wait":
        calls.check_positive("@once: wait_seconds", policy.wait_seconds)


def _protected(function: Callable[P, R], key: Key, policy: Policy) -> Callable[P, R]:
    key_of = calls.key_of(key, function)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        task = calls.running_task(function)
        work = _Work(task, key_of(args, kwargs), policy)
        try:
            done = work.claim()
        except StoreAwayError as away:
            if policy.when_away == "run":
                return function(*args, **kwargs)
            store.refuse(task, away)
        if done is not None:
            result: R = done.outcome()
            return result
        with work.lease:
            result = function(*args, **kwargs)
        work.finish(result)
        return result

    # Celery checks the arguments of a call by this.
    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return run


class _Work:
    """What one call is to do, and whether it has been done."""

    def __init__(self, task: Task, key: str, policy: Policy) -> None:
        self._task = task
        self._policy = policy
        self._store = store.of(task.app)
        self._name = self._store.key("once", task.name, key)
        self.lease = Lease(
            self._store,
            self._store.key("lock", task.name, key),
            task_id=task.request.id or "direct call",
            lease_seconds=policy.lease_seconds,
        )

    def claim(self) -> Done | None:
        """How the work ended, or None when it is ours to do."""
        held = self.lease.take(wait_seconds=self._policy.wait_seconds)
        done = self._stored()
        if held and done:
            self.lease.give_back()
        if not held and not done:
            self._leave_to_the_first()
        if done:
            logger.info("%s: done before, its result is returned", self._name)
        return done

    def finish(self, result: object) -> None:
        """Store how the work ended.

        Raises:
            ResultNotStorableError: the result is not JSON. That is stored, too: the work is done,
                and neither a retry nor a duplicate may do it again.

        """
        try:
            text = _encode(result=result)
        except (TypeError, ValueError, RecursionError) as error:
            done = Done(problem=_problem(self._task.name, error))
            self._leave(_encode(problem=done.problem))
            raise ResultNotStorableError(done.problem) from error
        self._leave(text)

    def _stored(self) -> Done | None:
        with self._store.asking():
            text = self._store.redis.get(self._name)
        return None if text is None else Done(**json.loads(text, object_hook=object_hook))

    def _leave(self, text: str) -> None:
        self.lease.finish(self._name, text, ttl_seconds=self._policy.ttl_seconds)

    def _leave_to_the_first(self) -> NoReturn:
        reason = f"{self._name}: another run of it has not ended yet."
        rejects = self._policy.in_flight == "reject" and self.lease.held_by_other_task()
        if rejects or not calls.has_message(self._task):
            raise DuplicateInFlightError(reason)
        put_back(self._task, delay_seconds=self._policy.retry_seconds, reason=reason)


def _encode(**how_it_ended: object) -> str:
    # What Celery itself takes for JSON: dates, decimals and UUIDs, too.
    return json.dumps(how_it_ended, cls=JSONEncoder)


def _problem(task: str, error: Exception) -> str:
    return (
        f"{task} has done its work, but its result cannot be stored as JSON: {error}. Return plain "
        "data (numbers, text, lists, dicts), or nothing. Until its key expires the work is not "
        "done again."
    )
