"""Messages of Celery's, and everybody else's."""

import base64
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import dumps

from celery_exporter.events.decoding import MAX_BYTES, UnreadableError, from_body, from_envelope

EVENT = {"type": "task-started", "uuid": "ü-1", "hostname": "io@pod"}


def envelope(content: bytes, /, **changes: Any) -> bytes:  # noqa: ANN401
    whole = {
        "body": base64.b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": "io@pod"},
        "properties": {"body_encoding": "base64", "delivery_tag": "x"},
        **changes,
    }
    return orjson.dumps(whole)


@pytest.mark.parametrize("sent", [EVENT, [EVENT, EVENT]])
def test_an_event_and_a_list_of_them_come_out_of_both_wrappings(sent: object) -> None:
    body = dumps(sent).encode()
    expected = sent if isinstance(sent, list) else [sent]
    assert from_body(body) == from_envelope(envelope(body)) == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\x00",
        envelope(b"not json"),
        envelope(b"3"),
        envelope(b"[1]"),
        envelope(b"{}", body=5),
        envelope(b"{}", body="!!!"),
        envelope(b"{}", properties=None),
        envelope(b"{}", **{"content-type": "application/x-python-serialize"}),
    ],
)
def test_what_is_no_event_is_refused(broken: bytes) -> None:
    with pytest.raises(UnreadableError):
        from_envelope(broken)


def test_what_is_larger_than_any_events_is_refused_before_it_is_decoded() -> None:
    for decode, payload in ((from_body, b" " * MAX_BYTES), (from_envelope, b'"' * MAX_BYTES)):
        with pytest.raises(UnreadableError, match="at most 1,048,576 are read"):
            decode(payload + b" ")


@given(st.binary() | st.binary().map(envelope))
def test_any_bytes_are_events_or_refused(payload: bytes) -> None:
    for decode in (from_envelope, from_body):
        with suppress(UnreadableError):
            assert all(isinstance(event, dict) for event in decode(payload))
