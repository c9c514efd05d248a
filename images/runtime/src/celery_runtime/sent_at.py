"""When a message was sent, said by its producer: what a worker needs to know how long it waited."""

import time
from typing import TYPE_CHECKING, Any

from celery import signals

if TYPE_CHECKING:
    from celery.worker.request import Request

#: Seconds since the epoch, by the producer's clock.
HEADER = "celery_runtime_sent_at"


def now() -> float:
    """This moment, as it is written on a message."""
    return round(time.time(), 3)


def install() -> None:
    """Stamp every message: each way of sending and of sending again ends in this signal."""
    signals.before_task_publish.connect(_stamp, weak=False)


def wait_seconds(request: "Request", *, started_at: float) -> float | None:
    """How long a task waited for its start; None where that is not known, or was meant to be.

    A message that comes again has waited for its first worker, too.
    """
    if request.eta is not None or request.delivery_info.get("redelivered"):
        return None
    sent_at = request.message.headers.get(HEADER)
    # Anybody may write a header.
    if type(sent_at) not in (int, float) or not sent_at > 0:
        return None
    return float(started_at - sent_at) if sent_at < started_at else 0.0


def _stamp(headers: dict[str, Any], **_: object) -> None:
    headers[HEADER] = now()
