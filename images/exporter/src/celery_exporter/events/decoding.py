"""From a message to the events in it. Nothing here trusts the sender.

Celery sends an event, or a list of them, as JSON. On Redis that is the body, in base64, of an
envelope of kombu's, which is JSON again; on RabbitMQ it is the body of the message.
"""

from base64 import b64decode
from typing import Any

import orjson

#: An event as its sender wrote it: a field may be missing, or be of any type.
Event = dict[str, Any]

JSON = "application/json"
#: Celery cuts what it says of arguments and results: two dozen events together have 100 kB.
MAX_BYTES = 1024 * 1024


class UnreadableError(ValueError):
    """A message that holds no events, or events that are not JSON."""


def from_envelope(payload: bytes) -> list[Event]:
    """The events in an envelope of kombu's, as it goes through Redis.

    Raises:
        UnreadableError: it is broken, or somebody else's.

    """
    try:
        envelope = orjson.loads(_bounded(payload))
        body = envelope["body"]
        if envelope["properties"]["body_encoding"] == "base64":
            body = b64decode(body)
        if envelope["content-type"] != JSON:
            raise UnreadableError(f"The content type is {envelope['content-type']!r}, not {JSON}.")
    # binascii's and orjson's errors are ValueErrors.
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"Not an envelope of kombu's: {error!r}") from error
    return from_body(body)


def from_body(body: bytes) -> list[Event]:
    """The events in a message's body.

    Raises:
        UnreadableError: it is broken, or somebody else's.

    """
    try:
        decoded = orjson.loads(_bounded(body))
    except ValueError as error:
        raise UnreadableError(f"Not JSON: {error}") from error
    events = decoded if type(decoded) is list else [decoded]
    for event in events:
        if type(event) is not dict:
            raise UnreadableError("Not an event: an event is a JSON object.")
    return events


def _bounded(message: bytes) -> bytes:
    # Decoded, it may need thirty times as much memory.
    if len(message) > MAX_BYTES:
        raise UnreadableError(f"{len(message):,} bytes; at most {MAX_BYTES:,} are read.")
    return message
