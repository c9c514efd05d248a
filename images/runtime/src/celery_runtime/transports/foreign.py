"""Items in a Redis queue that are no messages of kombu's: anybody can push to a list."""

from base64 import b64encode
from typing import Any
from uuid import uuid4

from kombu.transport import virtual
from kombu.utils.json import loads

#: What kombu raises at an item that is no message of its own.
FOREIGN = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


def decoded(item: bytes, channel: virtual.Channel) -> dict[str, Any] | None:
    """The message, if kombu can deliver it and put it back; None where it is none."""
    try:
        payload: dict[str, Any] = loads(item)
        message = channel.Message(payload, channel=channel)
        return payload if {"exchange", "routing_key"} <= message.delivery_info.keys() else None
    except FOREIGN:
        return None


def wrapped(item: bytes, queue: str) -> dict[str, Any]:
    """A message around the item, from this queue."""
    return {
        "body": b64encode(item).decode(),
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
