"""What a Celery worker needs to behave on Kubernetes.

A producer (a web process, a management command) calls `configure(app)`; workers and beat start with
`celery -A celery_runtime.app worker|beat` and need no line of code. `@once` and `TokenBucket`
are for tasks: done once in effect, and limited together.
"""

from celery_runtime._configure import configure
from celery_runtime.coordination.idempotency import once
from celery_runtime.coordination.ratelimit import TokenBucket
from celery_runtime.errors import (
    AppNotFoundError,
    CeleryRuntimeError,
    DuplicateInFlightError,
    LockNotHeldError,
    PortTakenError,
    ResultNotStorableError,
    SettingsError,
    StoreAwayError,
    TaskDefinitionError,
)

__version__ = "0.2.0"

__all__ = [
    "AppNotFoundError",
    "CeleryRuntimeError",
    "DuplicateInFlightError",
    "LockNotHeldError",
    "PortTakenError",
    "ResultNotStorableError",
    "SettingsError",
    "StoreAwayError",
    "TaskDefinitionError",
    "TokenBucket",
    "__version__",
    "configure",
    "once",
]
