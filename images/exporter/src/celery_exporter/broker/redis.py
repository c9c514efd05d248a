"""Redis and Valkey: a list for each priority of a queue, and one hash of what all workers hold."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from celery import Celery

from celery_exporter.broker.connecting import Line
from celery_exporter.readings import Depth, Reading


class Redis:
    """Knows what waits, what comes next, and how much is held by all workers together."""

    def __init__(self, app: Celery) -> None:
        self._line = Line(app)

    def read(self, queues: Sequence[str]) -> Reading:
        """Ask about queues in one round trip; raises when Redis is away."""
        channel = self._line.connection().default_channel
        lists = [(queue, key) for queue in queues for key in _keys(channel, queue)]
        with channel.client.pipeline(transaction=False) as pipe:
            for _, key in lists:
                pipe.llen(key)
                # kombu's client puts no prefix before this one. The next is the last of the list.
                pipe.lindex(f"{channel.global_keyprefix}{key}", -1)
            pipe.hlen(channel.unacked_key)
            *answers, unacked = pipe.execute(raise_on_error=False)
        if isinstance(unacked, Exception):
            raise unacked
        return _reading([queue for queue, _ in lists], answers, unacked)

    def close(self) -> None:
        """Give the connection up."""
        self._line.close()


def _keys(channel: Any, queue: str) -> list[str]:  # noqa: ANN401 # kombu has no types
    return [channel._q_for_pri(queue, step) for step in channel.priority_steps]


def _reading(queues: Sequence[str], answers: Sequence[Any], unacked: int) -> Reading:
    ready: dict[str, int] = {}
    heads: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    for queue, length, head in zip(queues, answers[::2], answers[1::2], strict=True):
        if isinstance(length, Exception):
            unread[queue] = str(length)
            continue
        ready[queue] = ready.get(queue, 0) + length
        heads.setdefault(queue, []).extend(_task_id(head))
    return Reading(
        depths={
            queue: Depth(ready=length, heads=heads[queue])
            for queue, length in ready.items()
            if queue not in unread
        },
        unread=unread,
        unacked=unacked,
    )


def _task_id(message: object) -> Iterator[str]:
    """The id of the task in a message, if it is one of Celery's."""
    try:
        yield str(orjson.loads(message)["headers"]["id"])  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError):
        return
