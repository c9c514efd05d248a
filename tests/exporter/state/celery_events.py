"""Events as Celery writes them."""

from typing import Any

from celery_exporter.state.counting import State
from celery_exporter.state.rows import KINDS

Event = dict[str, Any]
WORKER = "io@pod-1"
TASK = "shop.pay"


def event(kind: str, task_id: str = "id-1", *, at: float = 1.0, **fields: object) -> Event:
    """An event of a worker, at this time by the worker's clock."""
    own = {"name": TASK, "eta": None} if kind in ("task-sent", "task-received") else {}
    return {
        "type": kind,
        "uuid": task_id,
        "hostname": "gen1@web" if kind == "task-sent" else WORKER,
        "timestamp": at,
        "utcoffset": 0,
        "pid": 1,
        "clock": 1,
        **own,
        **fields,
    }


def life(task_id: str = "id-1", *, end: str = "task-succeeded", **fields: object) -> list[Event]:
    """All that is sent about a task that was sent to the queue `email`."""
    return [
        event("task-sent", task_id, at=0.0, queue="email"),
        event("task-received", task_id, at=1.0),
        event("task-started", task_id, at=2.0),
        event(end, task_id, at=3.0, **fields),
    ]


def counted(state: State, **labels: str) -> dict[str, int]:
    """The counters that are not zero, of all rows with these labels together."""
    sums = dict.fromkeys(KINDS, 0)
    for row in state.rows.all():
        if all(getattr(row, label) == text for label, text in labels.items()):
            for kind, count in zip(KINDS, row.counts, strict=True):
                sums[kind] += count
    return {kind: count for kind, count in sums.items() if count}
