"""One JSON object a line, for Celery's own records and the app's alike, on standard error."""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from celery import Task, signals
from celery._state import get_current_task
from celery.utils.log import LoggingProxy, get_multiprocessing_logger
from json_log_formatter import JSONFormatter

if TYPE_CHECKING:
    from celery.apps.worker import Worker

ExceptionDetails = tuple[type[BaseException], BaseException, TracebackType | None]

GROUP_VARIABLE = "CELERY_WORKER_GROUP"

logger = logging.getLogger(__name__)

#: Celery's records about a task carry its id and name as their arguments.
_TASK_LOGGERS = ("celery.app.trace", "celery.worker.strategy", "celery.worker.request")
_FINISHED = "celery.app.trace"


class Formatter(JSONFormatter):  # type: ignore[misc]  # without types
    """A record as one JSON object: what is always there first, then the record's own extras."""

    def __init__(self, **process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, whatever is in it."""
        fields = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_task_fields(record),
            **self.process,
            **self._exception(record),
        }
        return _line({**fields, **self._extras(record, fields)})

    def _exception(self, record: logging.LogRecord) -> dict[str, str]:
        # A formatted text stays on the record for other handlers, as logging does it.
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return {"exception": record.exc_text} if record.exc_text else {}

    def _extras(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> dict[str, Any]:
        # `data` is Celery's copy of the arguments, the task's own included: twice, and not ours.
        hidden = {"data"} if record.name.startswith("celery") else set()
        extras = self.extra_from_record(record).items()
        return {key: value for key, value in extras if key not in fields and key not in hidden}


_formatter = Formatter()


def install() -> None:
    """Make this process, a worker or beat, write nothing but JSON lines.

    From here to Celery's own logging set-up the level is WARNING, then what --loglevel says.
    """
    if group := os.environ.get(GROUP_VARIABLE):
        _formatter.process["worker_group"] = group
    _take_over_console()
    logging.captureWarnings(True)
    sys.excepthook = log_uncaught
    threading.excepthook = _log_thread
    signals.celeryd_init.connect(_remember_worker, weak=False)
    signals.setup_logging.connect(_set_up, weak=False)
    signals.task_prerun.connect(_remember_start, weak=False)


def redirect_output() -> None:
    """Log what is printed.

    `sys.__stdout__` too: Celery's signal handlers write plain text to its file descriptor, and to
    nothing when it has none.
    """
    proxy = LoggingProxy(logging.getLogger("celery.redirected"), logging.WARNING)
    sys.stdout = sys.stderr = sys.__stdout__ = proxy  # type: ignore[misc]


def exit_at_start(error: BaseException) -> NoReturn:
    """Say in one line of JSON why the process cannot start, and exit with code 1."""
    cause = error.__cause__
    details = (type(cause), cause, cause.__traceback__) if cause else None
    print(_formatter.format(_record(str(error), details)), file=sys.__stderr__)
    raise SystemExit(1)


def log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """An exception that ends the process, as one record."""
    logger.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, traceback))


def _log_thread(uncaught: threading.ExceptHookArgs) -> None:
    error = uncaught.exc_value
    logger.critical("A thread ended: %r", error, exc_info=error)


def _record(message: str, details: ExceptionDetails | None) -> logging.LogRecord:
    return logger.makeRecord(__name__, logging.CRITICAL, __file__, 0, message, (), details)


def _set_up(loglevel: int | str | None, **_: object) -> None:
    root = logging.getLogger()
    root.setLevel(loglevel or logging.WARNING)
    _take_over_console()
    # billiard's logger does not propagate and would fall back to plain text.
    pool = get_multiprocessing_logger()
    pool.setLevel(logging.ERROR)
    pool.propagate = True


def _take_over_console() -> None:
    root = logging.getLogger()
    for each in [root, *root.manager.loggerDict.values()]:
        if isinstance(each, logging.Logger):
            _drop_console(each)
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(_formatter)
    root.addHandler(handler)


def _drop_console(each: logging.Logger) -> None:
    # Exactly StreamHandler: files, Sentry and the like are the app's own decision.
    console = [handler for handler in each.handlers if type(handler) is logging.StreamHandler]
    for handler in console:
        each.removeHandler(handler)
        each.propagate = True


def _remember_worker(sender: str, instance: "Worker", **_: object) -> None:
    _formatter.process["worker_hostname"] = sender
    # The banner is a drawing of many lines.
    instance.quiet = True


def _remember_start(task: Task, **_: object) -> None:
    task.request.celery_runtime_started = time.monotonic()


def _rfc3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg!s} {record.args!r}"


def _task_fields(record: logging.LogRecord) -> dict[str, Any]:
    arguments = record.args if record.name in _TASK_LOGGERS else None
    if isinstance(arguments, Mapping) and "id" in arguments:
        named = {"task_id": arguments["id"], "task_name": arguments.get("name")}
        return {**named, **_duration(record.name, arguments)}
    task = get_current_task()
    if task is None or not task.request.id:
        return {}
    return {"task_id": task.request.id, "task_name": task.name}


def _duration(name: str, arguments: Mapping[str, Any]) -> dict[str, float]:
    if "runtime" in arguments:
        return {"duration_ms": round(arguments["runtime"] * 1000, 3)}
    task = get_current_task() if name == _FINISHED else None
    started = getattr(task.request, "celery_runtime_started", None) if task else None
    return {"duration_ms": round((time.monotonic() - started) * 1000, 3)} if started else {}


def _line(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(fields, default=str, allow_nan=False)
    except (TypeError, ValueError):
        # NaN, a circular reference, a key that is not text: the rest of the record matters.
        return json.dumps({str(key): str(value) for key, value in fields.items()})
