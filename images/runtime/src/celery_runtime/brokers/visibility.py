"""How long a broker waits for a worker before it delivers its message to another.

RabbitMQ, which knows of a lost worker by its connection, is asked for as long a wait (and listens
from 4.3 on). Redis and SQS know it by this time alone.

The timeout starts when a message is fetched. A worker that lives renews it for whatever it
holds, so that neither a countdown nor a task longer than the timeout runs twice; what a killed
worker held comes back when the timeout has passed.
"""

from celery_runtime.settings.document import Table

KEY = "visibilityTimeoutSeconds"
#: On top of the longest task: the worker must stop it by its own limit, and report.
MARGIN_SECONDS = 60
#: For an app that does not say how long its tasks take.
DEFAULT_TIMEOUT_SECONDS = 1800
#: Two renewals may fail before a message is given to another worker.
RENEWALS_PER_TIMEOUT = 3


def timeout_seconds(max_task_seconds: int | None) -> int:
    """The timeout that follows from the longest task."""
    return max_task_seconds + MARGIN_SECONDS if max_task_seconds else DEFAULT_TIMEOUT_SECONDS


def parse(table: Table, *, most: int) -> int | None:
    """The timeout that the broker section states, if it states one."""
    return table.integer(KEY, 1, least=1, most=most) if KEY in table else None


def renewal_interval_seconds(timeout_seconds: float) -> float:
    """How often to renew what is held."""
    return timeout_seconds / RENEWALS_PER_TIMEOUT
