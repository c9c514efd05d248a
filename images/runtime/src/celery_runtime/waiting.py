"""Who waits for a result in Redis subscribes to it; who only sends the task does not.

Celery 5.7 subscribes for each task that is sent, and again where somebody waits. redis-py forgets a
subscription when it reads its end, which nobody does who never waits: a web server that sends and
goes on grows by half a KiB a task, and cannot send while the store of results is away.
"""

from celery.backends.redis import RedisBackend


def install() -> None:
    """Let the producers of all applications subscribe when they wait."""
    RedisBackend.on_task_call = _nobody_waits


def _nobody_waits(backend: RedisBackend, producer: object, task_id: str) -> None:
    pass
