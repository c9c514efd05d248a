"""What a log record says of its task: id, name, queue, retries, trace context and duration."""

import logging
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from celery import Task
from celery._state import get_current_task
from celery.worker import request

from celery_runtime.queues import without_delay

if TYPE_CHECKING:
    from billiard.einfo import ExceptionInfo
    from celery.app.task import Context

Fields = dict[str, Any]

#: Celery's records about a task carry its id and name as their arguments.
_ABOUT_TASKS = frozenset({"celery.app.trace", "celery.worker.strategy", "celery.worker.request"})
_FINISHED = "celery.app.trace"
#: version-trace-span-flags; version ff and a trace or span of zeros are not valid.
_TRACEPARENT = re.compile(r"(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-.+")


class Headers(Protocol):
    """The headers of a task's message: a dict in the worker, a Context in the task."""

    def get(self, key: str, default: Any = None, /) -> Any:  # noqa: ANN401 # of many kinds
        """The value of a header."""


class Request(request.Request):  # type: ignore[misc]  # celery has no types
    """A message that a worker's main process has received, findable while it is worked on.

    Celery's own registry has it only after its first line, "received", and its line about a lost
    child names no task.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        _received[self.id] = self

    def on_failure(self, exc_info: "ExceptionInfo", **options: Any) -> None:  # noqa: ANN401
        """Let the lines about the failure name the task."""
        token = _failing.set(self)
        try:
            super().on_failure(exc_info, **options)
        finally:
            _failing.reset(token)


_received: WeakValueDictionary[str, Request] = WeakValueDictionary()
_failing: ContextVar[Request | None] = ContextVar("_failing", default=None)


def remember_start(task: Task, **_: object) -> None:
    """A receiver of the signal task_prerun, for the duration of tasks that fail."""
    task.request.celery_runtime_started = time.monotonic()


def of(record: logging.LogRecord) -> Fields:
    """The fields of the task that the record is about, or in which it was made."""
    named = _named(record) if record.name in _ABOUT_TASKS else {}
    running = get_current_task()
    # Celery looks it up anew each time.
    current = running.request if running else None
    task_id = named.get("task_id")
    if current and current.id and task_id in {None, current.id}:
        ours = {"task_id": current.id, "task_name": running.name}
        about = {**ours, **named, **_of_message(current), **_duration(record, current)}
    else:
        found = _received.get(str(task_id))
        about = {**named, **(_of_message(found.request_dict) if found else {})}
    return {**about, **_runtime(record)} if named else about


def _named(record: logging.LogRecord) -> Fields:
    arguments = record.args
    if isinstance(arguments, Mapping):
        task_id = arguments.get("id")
        return {"task_id": task_id, "task_name": arguments.get("name")} if task_id else {}
    ids = [argument for argument in arguments or () if isinstance(argument, str)]
    found = _failing.get() or next(filter(None, map(_received.get, ids)), None)
    return {"task_id": found.id, "task_name": found.name} if found else {}


def _of_message(headers: Headers) -> Fields:
    return {
        **_queue(headers.get("delivery_info") or {}),
        "retries": headers.get("retries") or 0,
        **_trace(headers),
    }


def _queue(delivery: Mapping[str, Any]) -> Fields:
    queue = without_delay(delivery.get("routing_key") or "")
    return {"queue": queue} if queue else {}


def _trace(headers: Headers) -> Fields:
    parent, trace_id = headers.get("traceparent"), headers.get("trace_id")
    if isinstance(parent, str) and (found := _TRACEPARENT.fullmatch(parent)):
        return {"trace_id": found[1], "span_id": found[2]}
    return {"trace_id": trace_id} if trace_id and isinstance(trace_id, str) else {}


def _duration(record: logging.LogRecord, current: "Context") -> Fields:
    started = getattr(current, "celery_runtime_started", None)
    if record.name != _FINISHED or started is None:
        return {}
    return _milliseconds(time.monotonic() - started)


def _runtime(record: logging.LogRecord) -> Fields:
    seconds = record.args.get("runtime") if isinstance(record.args, Mapping) else None
    return _milliseconds(seconds) if isinstance(seconds, float) else {}


def _milliseconds(seconds: float) -> Fields:
    return {"duration_ms": round(seconds * 1000, 3)}
