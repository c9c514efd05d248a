"""A retry that cannot be sent, as the broker is away, costs no task.

Celery 5.7 rejects its message for good, which is the task's death.
"""

from functools import wraps

from celery import Task
from celery.exceptions import Reject, Retry

_retry = Task.retry


def install() -> None:
    """Let the broker have the message again, for the tasks of all applications."""
    Task.retry = _sent_or_given_back


@wraps(_retry)
def _sent_or_given_back(task: Task, *arguments: object, **options: object) -> Retry:
    try:
        return _retry(task, *arguments, **options)
    except Reject as unsent:
        raise Reject(unsent.reason, requeue=task.acks_late) from unsent
