"""Flower finds a broker that was away again within seconds.

Flower 2.2 waits twice as long after each attempt, without a bound, so that it is blind for as long
again as the broker was away; and what it has not seen begin, it never shows. kombu's own attempts,
which grow to a bound, come first here: while they last Flower waits in its first.
"""

from celery.events import EventReceiver
from celery.utils.log import get_logger
from flower import events
from kombu.connection import Connection

INTERVAL_MAX_SECONDS = 5

_log = get_logger(__name__)


def wait_steadily() -> None:
    """Let the Flower of this process ask for its broker every few seconds."""
    events.EventReceiver = _Patient


class _Patient(EventReceiver):  # type: ignore[misc]
    def __init__(self, connection: Connection, **options: object) -> None:
        connection.ensure_connection(  # type: ignore[no-untyped-call]
            _tell, interval_start=1, interval_step=1, interval_max=INTERVAL_MAX_SECONDS
        )
        super().__init__(connection, **options)


def _tell(error: Exception, seconds: float) -> None:
    _log.error("No events: %s. Trying again in %s s.", error, seconds)
