"""The ledger: one `TaskRun` for each of the shop's tasks, written by Celery's signals.

A task is *sent* only when publishing has returned, that is: when the broker has accepted it.
A handler that raises is logged by Celery and does not fail the task: `enter` is for producers
who have to be sure. What a task has begun and ended is told by the database's clock.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import wraps

from celery import Task, signals
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from celery_runtime.queues import without_delay
from shop.database import wait_for_database
from shop.models import TaskRun

State = TaskRun.State
PATIENCE_SECONDS = 10.0  # while the database restarts
SENT_AT = "sent_at"  # a message header, kept by retries
_TASKS = "shop.tasks."


def _writes(handler: Callable[..., None]) -> Callable[..., None]:
    """Call `handler` for the shop's tasks only, on a connection to the database that works.

    Beat and the web servers publish outside of a request or task, where nobody else would
    replace a connection that the database has closed.
    """

    @wraps(handler)
    def write(sender: str | Task, **arguments: object) -> None:
        if _is_ours(sender):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
                connection.close_if_health_check_failed()
            wait_for_database(PATIENCE_SECONDS)
            handler(sender, **arguments)

    return write


def _is_ours(sender: str | Task) -> bool:
    name: str = sender if isinstance(sender, str) else sender.name
    return name.startswith(_TASKS)


@signals.before_task_publish.connect
def stamp(sender: str, headers: dict[str, object], **_: object) -> None:
    """Note in the message when it was first sent."""
    if _is_ours(sender):
        headers.setdefault(SENT_AT, timezone.now().isoformat())


@signals.after_task_publish.connect
@_writes
def accepted(
    sender: str,
    headers: Mapping[str, object],
    body: Sequence[Mapping[str, object]],
    routing_key: str,
    **_: object,
) -> None:
    """Enter a task that the broker has accepted. Its retries change nothing here."""
    queue = without_delay(routing_key)
    row = _row(str(headers["id"]), sender, queue, body[1])
    sent_at = datetime.fromisoformat(str(headers[SENT_AT]))
    row.filter(sent_at=None).update(sent_at=sent_at, queue=queue)


def enter(run: str, accepted_tasks: Mapping[str, tuple[str, str]]) -> int:
    """Enter what a producer knows to be accepted and the ledger does not; returns how many.

    Takes each task's name and queue by its id.
    """
    known = TaskRun.objects.filter(task_id__in=accepted_tasks).exclude(sent_at=None)
    missing = accepted_tasks.keys() - set(known.values_list("task_id", flat=True))
    for task_id in missing:
        name, queue = accepted_tasks[task_id]
        _row(task_id, name, queue, {"run": run}).update(sent_at=timezone.now(), queue=queue)
    return len(missing)


@signals.task_prerun.connect
@_writes
def started(sender: Task, task_id: str, kwargs: Mapping[str, object], **_: object) -> None:
    """Count a start, and note where it is."""
    request = sender.request
    queue = without_delay((request.delivery_info or {}).get("routing_key") or "")
    row = _row(task_id, sender.name, queue, kwargs)
    row.update(
        starts=F("starts") + 1,
        hostname=request.hostname or "",
        worker_group=os.environ.get("CELERY_WORKER_GROUP", ""),
    )
    _move(task_id, State.STARTED, started_at=Now())


@signals.task_retry.connect
@_writes
def retried(_sender: Task, request: object, reason: object, **_: object) -> None:
    """Count a retry and keep its cause."""
    task_id = str(getattr(request, "id", ""))
    _move(task_id, State.RETRYING, retries=F("retries") + 1, reason=str(reason))


@signals.task_success.connect
@_writes
def succeeded(sender: Task, **_: object) -> None:
    """Close a task that has done its work."""
    _move(sender.request.id, State.SUCCEEDED, finished_at=Now(), reason="")


@signals.task_failure.connect
@_writes
def failed(_sender: Task, task_id: str, exception: BaseException, **_: object) -> None:
    """Close a task that has given up, with its error."""
    _move(task_id, State.FAILED, finished_at=Now(), reason=repr(exception))


def _row(task_id: str, name: str, queue: str, kwargs: Mapping[str, object]) -> QuerySet:
    """Return the query of one row, made if need be: a worker may be faster than its producer."""
    values = {"run": str(kwargs.get("run") or ""), "name": name, "queue": queue}
    TaskRun.objects.get_or_create(task_id=task_id, defaults=values)
    return TaskRun.objects.filter(task_id=task_id)


def _move(task_id: str, state: str, **values: object) -> None:
    """Change a row, unless the task has already succeeded once."""
    rows = TaskRun.objects.filter(task_id=task_id).exclude(state=State.SUCCEEDED)
    rows.update(state=state, **values)
