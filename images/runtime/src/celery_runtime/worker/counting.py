"""Where a worker's main process counts its tasks, in every pool, with events or without."""

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.worker import request

from celery_runtime import sent_at
from celery_runtime.health.tally import Life, Tally
from celery_runtime.queues import delivered_from, without_delay

if TYPE_CHECKING:
    from kombu.message import Message

#: Of this process, as Celery's own celery.worker.state is.
tally = Tally()

_ENDS = {f"task-{kind}": kind for kind in ("succeeded", "failed", "rejected", "revoked", "retried")}
_EXCEPTION = re.compile(r"(\w+)\(")
UNKNOWN_EXCEPTION = "UnknownException"

OnSuccess = Callable[..., None]


class Counted(request.Request):  # type: ignore[misc]  # celery has no types
    """A request that counts what it would tell by events."""

    _life: Life | None = None
    _told: frozenset[str] = frozenset()

    def __init_subclass__(cls, **options: object) -> None:
        """Celery derives a class for each task, which tells of a success only if events are on."""
        super().__init_subclass__(**options)
        if on_success := vars(cls).get("on_success"):
            cls.on_success = _counting(on_success)

    @property
    def life(self) -> Life:
        """Where it counts."""
        if self._life is None:
            self._life = tally.begin(self.name, queue_of(self.app, self.delivery_info))
        return self._life

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002, ANN401 # celery's own
        """Count, and tell those who listen."""
        if type == "task-started":
            wait = sent_at.wait_seconds(self, started_at=self.time_start)
            tally.started(self.life, wait_seconds=wait)
        elif type in _ENDS:
            self.count_end(_ENDS[type], fields)
        super().send_event(type, **fields)

    def count_end(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Count an end; each kind once, as a time limit that is exceeded is told of twice."""
        if kind in self._told:
            return
        self._told |= {kind}
        runtime = fields.get("runtime")
        ran_seconds = time.time() - self.time_start if self.time_start else None
        tally.ended(self.life, kind, ran_seconds=ran_seconds if runtime is None else runtime)
        if kind == "failed":
            tally.raised(self.life, _exception(fields.get("exception")))
        elif runtime is not None:
            tally.succeeded(self.life, runtime_seconds=runtime)


def counted(base: type[request.Request]) -> type[Counted]:
    """The class of requests, made one that counts."""
    if issubclass(base, Counted):
        return base
    return type(base.__name__, (Counted, base), {})


def count_receipt(request: request.Request, **_: object) -> None:
    """A receiver of the signal task_received."""
    if isinstance(request, Counted):
        tally.received(request.life)


def count_message(app: Celery, message: "Message") -> None:
    """Count a message that has come, whatever it holds."""
    tally.fetched(queue_of(app, message.delivery_info or {}))


def queue_of(app: Celery, delivered: Mapping[str, Any]) -> str:
    """The queue that a message came from, or else the key that led there."""
    exchange, routing_key = delivered.get("exchange"), delivered.get("routing_key")
    return _queue_of(app, str(exchange or ""), str(routing_key or ""))


def install() -> None:
    """Count what is received from now on."""
    signals.task_received.connect(count_receipt, weak=False)


@lru_cache(maxsize=1000)
def _queue_of(app: Celery, exchange: str, routing_key: str) -> str:
    delivered = {"exchange": exchange, "routing_key": routing_key}
    return delivered_from(app, delivered) or without_delay(routing_key)


def _counting(on_success: OnSuccess) -> OnSuccess:
    @wraps(on_success)
    def counting(self: Counted, outcome: tuple[bool, object, float], **more: object) -> None:
        on_success(self, outcome, **more)
        failed, _, runtime = outcome
        if not failed:
            self.count_end("succeeded", {"runtime": runtime})

    return counting


def _exception(text: object) -> str:
    found = _EXCEPTION.match(text) if isinstance(text, str) else None
    return found[1] if found else UNKNOWN_EXCEPTION
