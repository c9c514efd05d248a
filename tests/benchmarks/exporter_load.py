"""Celery's events as they go through Redis, and as many as it takes."""

from base64 import b64encode
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

import orjson
from redis import Redis

NAMES = 50
QUEUES = 10
CLIENTS = 8
#: How many events a worker with an event loop sends together.
TOGETHER = 24
PIPELINE = 1000

Event = dict[str, Any]
Item = TypeVar("Item")


def lives(first: int, tasks: int, *, workers: int) -> Iterator[Event]:
    """Four events for each task; the tasks go round the names, then round the workers."""
    for number in range(first, first + tasks):
        yield from life(number, workers=workers)


def life(number: int, *, workers: int) -> Iterator[Event]:
    """One task, from its sending to its success."""
    name = f"shop.tasks.pipelines.task_{number % NAMES:02}"
    host = {"hostname": f"io@jobs-worker-io-{number // NAMES % workers:04}", "pid": 1}
    client = {"hostname": f"gen{number % CLIENTS}@shop-web-{number % CLIENTS}", "pid": 7}
    task_id = f"{number:08x}-7f2a-4d51-9c3e-1a2b3c4d5e6f"
    about = {
        "root_id": task_id,
        "parent_id": None,
        "name": name,
        "args": f"('order-{number}', 42)",
        "kwargs": "{'currency': 'EUR', 'notify': True}",
        "retries": 0,
        "eta": None,
        "expires": None,
    }
    queue = f"queue_{number % QUEUES}"
    way = {"queue": queue, "exchange": "", "routing_key": queue}
    yield _event("task-sent", number, uuid=task_id, **client, **about, **way)
    yield _event("task-received", number, uuid=task_id, **host, **about)
    yield _event("task-started", number, uuid=task_id, **host)
    yield _event(
        "task-succeeded",
        number,
        uuid=task_id,
        **host,
        result=f"{{'order': 'order-{number}', 'state': 'paid'}}",
        runtime=0.04 + number % 100 / 1000,
    )


def _event(kind: str, clock: int, **fields: object) -> Event:
    # One worker's clock goes up from event to event, and so does its time.
    return {**fields, "type": kind, "timestamp": 1.7e9 + clock, "clock": clock, "utcoffset": 0}


def batched(items: Iterator[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """As itertools has it from Python 3.12 on."""
    while batch := tuple(islice(items, size)):
        yield batch


def publish(redis: Redis, events: Iterator[Event], *, together: int = 1) -> int:
    """Send events, so many in each message; returns how many there were."""
    count = 0
    for batch in batched(batched(events, together), PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for group in batch:
                pipe.publish(*message(group))
                count += len(group)
            pipe.execute()
    return count


def message(events: tuple[Event, ...]) -> tuple[str, bytes]:
    """The channel and the envelope that kombu makes for one event, or for several."""
    kind = events[0]["type"].replace("-", ".") if len(events) == 1 else "task.multi"
    body = orjson.dumps(events[0] if len(events) == 1 else events)
    envelope = {
        "body": b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"hostname": events[0]["hostname"]},
        "properties": {
            "delivery_mode": 1,
            "delivery_info": {"exchange": "celeryev", "routing_key": kind},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "5f0c5a0e-9d0c-4a4c-8a63-2f3f6b3f4c11",
        },
    }
    return f"/0.celeryev/{kind}", orjson.dumps(envelope)
