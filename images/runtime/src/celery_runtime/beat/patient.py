"""What both schedulers have in common: an outage ends no beat and loses no entry."""

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from celery.beat import ScheduleEntry, SchedulingError
from celery.beat import Scheduler as BaseScheduler
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from celery_runtime.beat.probes import probes

if TYPE_CHECKING:
    from celery.app.amqp import Connection, Producer

RETRY_SECONDS = 2.0
LOCK = "the lock that another beat holds"

logger = logging.getLogger(__name__)


class Patient(BaseScheduler, ABC):  # type: ignore[misc]  # celery has no types
    """A scheduler that survives an outage of the broker and tells the probes.

    What is due during an outage is sent once when the outage ends.
    """

    _unsent = False

    @abstractmethod
    def put_back(self, entry: ScheduleEntry) -> None:
        """Make an entry due again that was moved on and not sent."""

    def tick(self, **options: object) -> float:
        """Send what is due; the seconds to the next tick."""
        self._unsent = False
        try:
            delay = float(super().tick(**options))
        except OperationalError as error:
            return self.wait_for("the broker", error)
        if self._unsent:
            return RETRY_SECONDS
        probes.ticked()
        return delay

    def apply_async(
        self, entry: ScheduleEntry, producer: "Producer | None" = None, **options: object
    ) -> AsyncResult:
        """Send an entry; when the broker is away it stays due."""
        try:
            result = super().apply_async(entry, producer=producer, **options)
        except SchedulingError as error:
            # Celery moves an entry on before it sends, so that a crash in between sends nothing
            # twice. A send that the broker did not take is moved back.
            if isinstance(error.__context__, OperationalError):
                self.unsent("the broker", error.__context__)
                self.put_back(entry)
            raise
        probes.sent()
        return result

    def unsent(self, what: str, error: Exception) -> None:
        """An entry is due and cannot be sent: the tick is not complete."""
        self._unsent = True
        self.wait_for(what, error)

    def wait_for(self, what: str, error: Exception) -> float:
        """Say what is away; the seconds to the next attempt."""
        warn_away(what, error)
        probes.waiting(what)
        return RETRY_SECONDS

    def _ensure_connected(self) -> "Connection":
        # Not Celery's retry for ever: the lock must be kept alive between two attempts.
        return self.connection.ensure_connection(max_retries=0)


def warn_away(what: str, error: Exception) -> None:
    """Say that beat has to wait."""
    logger.warning("beat: %s is away: %s", what, error)
