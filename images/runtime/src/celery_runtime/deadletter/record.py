"""What is written on a message when it dies, and how it is read again.

RabbitMQ writes an `x-death` header of its own where it decides by itself (the delivery limit, an
expiry); SQS writes nothing. Everything else is written by the worker, in one header.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery_runtime import sent_at

if TYPE_CHECKING:
    from kombu.message import Message

HEADER = "x-dead-letter"
#: How often a message was put back from its dead letters.
REVIVALS = "x-dead-letter-revivals"
#: The command that put it back last.
REVIVED_BY = "x-dead-letter-revived-by"
#: Headers that tell of a death; a message that is put back must not carry them.
MARKS = frozenset(
    {
        HEADER,
        "x-death",
        "x-delivery-count",
        *(f"x-{which}-death-{what}" for which in ("first", "last") for what in ("reason", "queue")),
        *(f"x-{which}-death-exchange" for which in ("first", "last")),
    }
)

#: Delivered as often as its queue allows, and never finished.
DELIVERY_LIMIT = "delivery_limit"
#: The task raised Reject(requeue=False).
REJECTED = "rejected"
#: The task failed, and does not acknowledge failures (`acks_on_failure=False`).
FAILED = "failed"
#: Its body or headers cannot be read.
UNREADABLE = "unreadable"
#: It is readable, but in a serialization that this worker does not accept.
NOT_ACCEPTED = "content_not_accepted"
#: No worker of its queue knows the task.
UNKNOWN_TASK = "unknown_task"


@dataclass(frozen=True)
class DeadMessage:
    """A dead message, as people look at it."""

    id: str
    task: str
    queue: str
    reason: str
    detail: str
    #: When it died; on SQS, when it was sent. None where nothing says so.
    at: datetime | None
    #: One, and one for each time that it was put back before.
    deaths: int
    args: str
    kwargs: str
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "at": self.at.isoformat() if self.at else None}


def death(*, reason: str, queue: str, detail: str = "") -> dict[str, Any]:
    """The header of a message that dies now."""
    return {
        "reason": reason,
        "detail": detail,
        "queue": queue,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def with_death(headers: Mapping[str, Any] | None, died: Mapping[str, Any]) -> dict[str, Any]:
    """The headers of the dead message."""
    return {**(headers or {}), HEADER: dict(died)}


def revived(headers: Mapping[str, Any], *, by: str) -> dict[str, Any]:
    """The headers of the message that is put back: it begins anew, and it no longer expires."""
    kept = {name: value for name, value in headers.items() if name not in MARKS}
    kept |= {
        REVIVALS: int(headers.get(REVIVALS) or 0) + 1,
        REVIVED_BY: by,
        sent_at.HEADER: sent_at.now(),
    }
    return {**kept, "expires": None} if kept.get("expires") else kept


def read(message: "Message", *, queue: str) -> DeadMessage:
    """A message from the dead-letter queue of a queue; whatever is missing stays empty."""
    headers: Mapping[str, Any] = message.headers or {}
    died = _death(headers, message.delivery_info or {})
    return DeadMessage(
        id=str(headers.get("id") or message.properties.get("correlation_id") or ""),
        task=str(headers.get("task") or ""),
        queue=queue,
        reason=died["reason"],
        detail=died["detail"],
        at=died["at"],
        deaths=int(headers.get(REVIVALS) or 0) + 1,
        args=str(headers.get("argsrepr") or ""),
        kwargs=str(headers.get("kwargsrepr") or ""),
        size_bytes=len(message.body or ""),
    )


def body(message: "Message") -> object:
    """The body as data where it is JSON, else as text."""
    text = message.body
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _death(headers: Mapping[str, Any], delivery: Mapping[str, Any]) -> dict[str, Any]:
    if died := headers.get(HEADER):
        return {**died, "at": datetime.fromisoformat(died["at"])}
    if deaths := headers.get("x-death"):
        last = deaths[0]
        return {"reason": last["reason"], "detail": "", "at": last["time"].replace(tzinfo=UTC)}
    # Amazon's redrive moves a message for one reason only, and leaves no word of it.
    sent = delivery.get("sqs_message", {}).get("Attributes", {}).get("SentTimestamp")
    at = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None
    return {"reason": DELIVERY_LIMIT, "detail": "", "at": at}
