"""One JSON object a line, for Celery's own records and the app's alike, on standard error."""

import atexit
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from celery import signals
from celery.utils.log import LoggingProxy, get_multiprocessing_logger
from celery.worker import request
from json_log_formatter import JSONFormatter

from celery_runtime.errors import SettingsError
from celery_runtime.logs import masking, task_fields
from celery_runtime.settings import credentials
from celery_runtime.settings.configuration import directory

if TYPE_CHECKING:
    from celery.apps.worker import Worker

ExceptionDetails = tuple[type[BaseException], BaseException, TracebackType | None]

GROUP_VARIABLE = "CELERY_WORKER_GROUP"

logger = logging.getLogger(__name__)


class Formatter(JSONFormatter):  # type: ignore[misc]  # without types
    """A record as one JSON object: what is always there first, then the record's own extras."""

    def __init__(self, **process: str) -> None:
        super().__init__()
        self.process = process
        self.masker = masking.Masker()

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, whatever is in it."""
        fields = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **task_fields.of(record),
            **self.process,
            **self._exception(record),
        }
        return self.masker.line(_line({**fields, **self._extras(record, fields)}))

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


class Printed(LoggingProxy):  # type: ignore[misc]  # celery has no types
    """A stream whose text becomes records: one for each print, also for one of many pieces."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("celery.redirected"), logging.WARNING)
        self._local = threading.local()

    def write(self, text: str) -> int:
        """Keep the text until its line ends."""
        self._local.text = getattr(self._local, "text", "") + text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Log what is kept, unless this is the logging itself that cannot write."""
        text = getattr(self._local, "text", "").rstrip("\n")
        self._local.text = ""
        if text and not getattr(self._local, "busy", False):
            self._local.busy = True
            try:
                self.logger.log(self.loglevel, "%s", text)
            finally:
                self._local.busy = False

    def finish(self) -> None:
        """Log what is kept; the interpreter, which flushes last, finds nothing to flush."""
        self.flush()
        self.closed = True


_formatter = Formatter()


def install() -> None:
    """Make this process, a worker or beat, write nothing but JSON lines.

    From here to Celery's own logging set-up the level is WARNING, then what --loglevel says.
    """
    if group := os.environ.get(GROUP_VARIABLE):
        _formatter.process["worker_group"] = group
    # What is wrong with a secret is said by whoever uses it.
    with suppress(SettingsError):
        secrets = credentials.read(directory())
        _formatter.masker = masking.Masker(masking.passwords(secrets))
    _take_over_console()
    logging.captureWarnings(True)
    sys.excepthook = log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread
    signals.celeryd_init.connect(_remember_worker, weak=False)
    signals.setup_logging.connect(_set_up, weak=False)
    signals.task_prerun.connect(task_fields.remember_start, weak=False)


def redirect_output() -> None:
    """Log what is printed.

    `sys.__stdout__` too: Celery's signal handlers write plain text to its file descriptor, and to
    nothing when it has none.
    """
    out, err = Printed(), Printed()
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    sys.stderr = err
    atexit.register(out.finish)
    atexit.register(err.finish)


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


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    where = unraisable.err_msg or "Exception ignored in"
    logger.error("%s: %r", where, unraisable.object, exc_info=unraisable.exc_value)


def _record(message: str, details: ExceptionDetails | None) -> logging.LogRecord:
    return logger.makeRecord(__name__, logging.CRITICAL, __file__, 0, message, (), details)


def _set_up(loglevel: int | str | None, **_: object) -> None:
    root = logging.getLogger()
    root.setLevel(loglevel or logging.WARNING)
    _take_over_console()
    # It asked for the level once, when it was imported.
    request.__optimize__()
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


def _rfc3339(seconds: float) -> str:
    second, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_whole(second)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=1)
def _whole(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg!s} {record.args!r}"


#: `json.dumps` would make one for each line.
_encode = json.JSONEncoder(default=str, allow_nan=False).encode


def _line(fields: Mapping[str, Any]) -> str:
    try:
        return _encode(fields)
    except (TypeError, ValueError):
        # NaN, a circular reference, a key that is not text: the rest of the record matters.
        return json.dumps({str(key): str(value) for key, value in fields.items()})
