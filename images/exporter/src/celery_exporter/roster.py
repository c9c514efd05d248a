"""What workers say of themselves when they are asked: their queues and how much they run at once.

Heartbeats, which the chart's workers do not send, say neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery

INTERVAL_SECONDS = 30
ANSWER_SECONDS = 2


@dataclass(frozen=True)
class Answer:
    """One worker; None is what it did not say."""

    concurrency: int | None
    queues: tuple[str, ...] | None


def ask(app: Celery) -> dict[str, Answer]:
    """Broadcast two questions and wait for the answers; raises when the broker is away."""
    with app.connection_for_write(connect_timeout=ANSWER_SECONDS) as connection:
        connection.ensure_connection(max_retries=0)
        inspect = app.control.inspect(connection=connection, timeout=ANSWER_SECONDS)
        return answers(inspect.stats() or {}, inspect.active_queues() or {})


def answers(stats: Mapping[str, Any], queues: Mapping[str, Any]) -> dict[str, Answer]:
    """The two answers of each worker in one; a worker that was too busy for one has the other."""
    return {
        name: Answer(_concurrency(stats.get(name)), _names(queues.get(name)))
        for name in {**stats, **queues}
    }


def _concurrency(stats: object) -> int | None:
    pool = stats.get("pool") if isinstance(stats, dict) else None
    most = pool.get("max-concurrency") if isinstance(pool, dict) else None
    return most if type(most) is int else None


def _names(queues: object) -> tuple[str, ...] | None:
    if not isinstance(queues, list):
        return None
    return tuple(
        str(queue["name"]) for queue in queues if isinstance(queue, dict) and "name" in queue
    )
