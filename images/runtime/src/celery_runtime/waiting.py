"""Who waits for a result in Redis subscribes to it; who only sends the task does not.

Celery 5.7 subscribes for each task that is sent, and again where somebody waits. redis-py forgets a
subscription when it reads its end, which nobody does who never waits: a web server that sends and
goes on grows by half a KiB a task, and cannot send while the store of results is away. Of a group
or a chord it also keeps the results themselves, 6 KiB for three of them, until they arrive.
"""

from collections.abc import Callable, Iterator
from functools import wraps

from celery.backends.redis import RedisBackend
from celery.result import AsyncResult, ResultSet
from vine import barrier

#: What is called with results that have come.
Callback = Callable[..., object]

_then, _set_then, _iter_native = AsyncResult.then, ResultSet.then, RedisBackend.iter_native


def install() -> None:
    """Let the producers of all applications subscribe when they wait."""
    RedisBackend.on_task_call = _nobody_waits
    AsyncResult.then = _unless_of_a_set
    ResultSet.then = _when_all_have_come
    RedisBackend.iter_native = _as_they_come


def _nobody_waits(backend: RedisBackend, producer: object, task_id: str) -> None:
    pass


@wraps(_then)
def _unless_of_a_set(
    result: AsyncResult, callback: Callback, on_error: Callback | None = None, **options: bool
) -> object:
    # A set counts its results from when it is made, be it that nobody asks for them.
    if isinstance(callback, barrier) and isinstance(result.backend, RedisBackend):
        return result.on_ready.then(callback, on_error)
    return _then(result, callback, on_error, **options)


@wraps(_set_then)
def _when_all_have_come(
    results: ResultSet, callback: Callback, on_error: Callback | None = None, **options: bool
) -> object:
    if not isinstance(callback, barrier) and isinstance(results.backend, RedisBackend):
        results.backend.add_pending_results([*_each(results)])
    return _set_then(results, callback, on_error, **options)


@wraps(_iter_native)
def _as_they_come(backend: RedisBackend, results: ResultSet, **options: object) -> Iterator[object]:
    backend.add_pending_results([*_each(results)])
    yield from _iter_native(backend, results, **options)


def _each(results: ResultSet) -> Iterator[AsyncResult]:
    for each in results.results:
        if isinstance(each, ResultSet):
            yield from _each(each)
        else:
            yield each
