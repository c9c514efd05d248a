"""What is to follow a task is sent, or the broker has the task again.

Its callbacks, the next of its chain and what its chord leads to are sent by the worker that has run
it. Where the broker is away for longer than the tries of `task_publish_retry_policy`, Celery 5.7
records the task as failed, though its work is done; a chord it gives up, and whoever delivers the
task again finds it ended. Here the task is given back, as a worker's that was killed, with all that
Redis has counted of its chord.

In Celery a chord's last part that is delivered twice is also acknowledged while another worker is
still about to send what follows, and may be killed before it has. Here it waits until that is done,
or until the other's claim has run out, in seconds, and does it itself.
"""

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps

from celery import Task
from celery.app.amqp import AMQP
from celery.app.task import Context
from celery.backends.redis import CHORD_CLEANUP_LUA, CHORD_PART_RETURN_LUA, RedisBackend
from celery.exceptions import Reject
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

CLAIM_ASKED_EVERY_SECONDS = 0.5

#: What a chord's part has come to: parts that are there, a correction and the number of them all
#: (both absent once the chord has ended), and whether this caller is to send what follows.
Count = tuple[int, bytes | None, bytes | None, int]

_log = get_logger(__name__)
_retry_publish, _on_part = AMQP._retry_publish, RedisBackend.on_chord_part_return
_in_a_chord = ContextVar("in a chord", default=False)


class _Unsent(BaseException):
    """Passes Celery's `except Exception`, which would end the chord."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def install() -> None:
    """Mend it for the workers of all applications."""
    AMQP._retry_publish = _sent_or_given_back
    RedisBackend.on_chord_part_return = _counted_or_given_back
    RedisBackend._chord_part_return_script = property(_count)
    RedisBackend._chord_cleanup_script = property(_clean_up)


@wraps(_retry_publish)
def _sent_or_given_back(
    amqp: AMQP, publish: Callable[..., object], *arguments: object, **options: object
) -> object:
    try:
        return _retry_publish(amqp, publish, *arguments, **options)
    except (OperationalError, *amqp.app.connection_for_write().connection_errors) as error:
        task: Task | None = amqp.app.current_worker_task
        if task is None or not task.acks_late:
            raise
        _log.warning(
            "%s[%s] is given back, as what follows it cannot be sent: %r",
            task.name,
            task.request.id,
            error,
        )
        if _in_a_chord.get():
            raise _Unsent(error) from error
        raise Reject(error, requeue=True) from error


@wraps(_on_part)
def _counted_or_given_back(
    backend: RedisBackend, request: Context, state: str, result: object, **options: object
) -> None:
    token = _in_a_chord.set(True)
    try:
        _on_part(backend, request, state, result, **options)
    except _Unsent as unsent:
        raise Reject(unsent.reason, requeue=True) from unsent.reason
    finally:
        _in_a_chord.reset(token)


def _count(backend: RedisBackend) -> Callable[..., Count]:
    script = backend.client.register_script(CHORD_PART_RETURN_LUA)

    def count(**call: object) -> Count:
        while True:
            answer: Count = script(**call)
            if not _is_claimed_by_another(answer):
                return answer
            time.sleep(CLAIM_ASKED_EVERY_SECONDS)

    return count


def _is_claimed_by_another(answer: Count) -> bool:
    parts, correction, size, claimed = answer
    return bool(size) and not claimed and parts == int(size or 0) + int(correction or 0)


def _clean_up(backend: RedisBackend) -> Callable[..., object]:
    script = backend.client.register_script(CHORD_CLEANUP_LUA)

    def clean_up(**call: object) -> object:
        # Celery calls it in a `finally`.
        return isinstance(sys.exc_info()[1], _Unsent) or script(**call)

    return clean_up
