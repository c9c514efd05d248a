"""The benchmark's messages."""

from contextlib import closing
from typing import Any

import orjson
from celery import Celery
from redis import Redis

from celery_exporter.events.decoding import from_envelope
from tests.benchmarks.exporter_load import lives, message


def test_they_have_the_shape_of_celerys_own(redis_url: str) -> None:
    event = next(lives(0, 1, workers=1))
    fields = {name: event[name] for name in event if name not in ("type", "hostname", "timestamp")}
    for name in ("clock", "pid", "utcoffset"):
        fields.pop(name)
    with (
        closing(Celery("load", broker=f"{redis_url}/0", set_as_current=False)) as app,
        Redis.from_url(redis_url) as client,
        client.pubsub(ignore_subscribe_messages=True) as subscription,
    ):
        subscription.psubscribe("/0.celeryev/*")
        subscription.get_message(timeout=5)
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send("task-sent", **fields)
        received: Any = subscription.get_message(timeout=5)
    channel, payload = message((event,))
    assert received["channel"].decode() == channel
    assert shape(received["data"]) == shape(payload)
    assert set(from_envelope(received["data"])[0]) == set(event)


def shape(payload: bytes) -> object:
    envelope = orjson.loads(payload)
    return {
        key: sorted(part) if isinstance(part, dict) else type(part)
        for key, part in envelope.items()
    }
