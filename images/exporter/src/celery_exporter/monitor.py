"""Everything together: what the threads write, and what a scrape and the probes read."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import TypeVar

from celery_exporter import metrics, roster
from celery_exporter.broker.ages import Ages
from celery_exporter.events.decoding import Event
from celery_exporter.events.pump import Pump, Source, said
from celery_exporter.readings import Broker, Pod, Reading
from celery_exporter.scaling import Board
from celery_exporter.state.counting import State
from celery_runtime.health.probes import Verdict

#: The loop turns every second.
STUCK_AFTER_SECONDS = 60
Clock = Callable[[], float]
Value = TypeVar("Value")

logger = logging.getLogger(__name__)


class Monitor:
    """One deployment as it is watched."""

    def __init__(
        self,
        state: State,
        broker: Broker,
        board: Board,
        *,
        source: Source | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._state = state
        self._broker = broker
        self._board = board
        self._dead_letters = board.dead_letters
        self._clock = clock
        # For moments only: a page is written from copies.
        self._lock = Lock()
        self._ages = Ages()
        self._reading: Reading | None = None
        self._oldest_seconds: Mapping[str, float] = {}
        self._up: dict[str, bool] = {}
        self._read_all_at: float | None = None
        self._said: set[str] = set()
        self.pump = Pump(source, self._take, clock=clock) if source else None

    def read_broker(self, *, all_every_seconds: float = 0.0) -> None:
        """Ask how full the queues are: those that are scaled for each time, all every so often."""
        everything = [*self._dead_letters, *self._dead_letters.values()]
        queues = everything if self._all_are_due(all_every_seconds) else self._board.queues
        try:
            reading = self._broker.read(queues) if queues else Reading()
        except Exception as error:  # each transport has its own
            self._note("broker", error)
            self._broker.close()
            # What was true before the broker went away is not known to be true now.
            self._read_all_at = None
            reading = Reading(unread=dict.fromkeys(everything, str(error)))
        else:
            self._note("broker")
            reading = _merged(self._reading, reading, queues)
        with self._lock:
            self._oldest_seconds = self._ages.of(
                reading, sent_at=self._state.sent_at, now=self._clock()
            )
        self._reading = reading
        self._board.take_broker(reading, self._oldest_seconds)

    def ask_workers(self, ask: Callable[[], Mapping[str, roster.Answer]]) -> None:
        """Ask workers about themselves."""
        asked_at = self._clock()
        try:
            answers = ask()
        except Exception as error:  # each transport has its own
            self._note("workers", error)
            return
        self._note("workers")
        with self._lock:
            for name, answer in answers.items():
                self._state.answered(
                    name,
                    concurrency=answer.concurrency,
                    queues=answer.queues,
                    now=asked_at,
                )

    def tally(self, pods: Sequence[Pod] | None) -> None:
        """Count what workers say that they have counted; None where nobody can be asked."""
        self._up["workers"] = pods is not None
        if pods is not None:
            with self._lock:
                self._state.tally(pods, self._clock())
            self._say_capped()

    def page(self) -> Iterator[str]:
        """What Prometheus scrapes."""
        view = self._board.view
        return metrics.page(
            metrics.Snapshot(
                state=self._state,
                reading=self._reading or Reading(),
                health=self._health(),
                dead_letters=self._dead_letters,
                oldest_seconds={**self._oldest_seconds, **view.oldest_seconds},
                arrivals_per_second=view.arrivals_per_second,
                now=self._clock(),
            )
        )

    def live(self) -> Verdict:
        """False when events are not even waited for."""
        silent_seconds = self._clock() - self.pump.turned_at if self.pump else 0.0
        if silent_seconds > STUCK_AFTER_SECONDS:
            return Verdict(False, f"the loop of events has been stuck for {silent_seconds:.0f} s")
        return Verdict(True, "watching")

    def ready(self) -> Verdict:
        """True once the broker was asked: that it is away is something to tell."""
        asked = self._reading is not None
        return Verdict(asked, "watching" if asked else "the broker has not been asked yet")

    def _all_are_due(self, every_seconds: float) -> bool:
        now = self._clock()
        if self._read_all_at is not None and now - self._read_all_at < every_seconds:
            return False
        self._read_all_at = now
        return True

    def _take(self, events: Sequence[Event], received_at: float) -> None:
        with self._lock:
            if self.pump is not None and not self.pump.connected:
                self._state.unheard(received_at)
            self._state.apply(events, received_at)
        self._say_capped()

    def _say_capped(self) -> None:
        for label, count in self._state.capped.items():
            if count and label not in self._said:
                self._said.add(label)
                logger.warning(
                    "There are more values of %r than are told apart: the rest is counted as "
                    "'other', and by celery_exporter_capped_total. Does a task, a queue or a "
                    "worker have an id in its name? This is said once.",
                    label,
                )

    def _health(self) -> metrics.Health:
        if self.pump is None:
            return metrics.Health(up=self._up.copy())
        pump = self.pump
        return metrics.Health(
            up={**self._up, "events": pump.connected},
            events={
                "decoded": pump.decoded,
                "unreadable": pump.unreadable,
                "shed": pump.buffer.shed,
            },
            buffered=len(pump.buffer),
        )

    def _note(self, source: str, error: Exception | None = None) -> None:
        was_up = self._up.get(source, True)
        self._up[source] = error is None
        if error is not None and was_up:
            logger.warning("The %s cannot be asked: %s", source, said(error))


def _merged(before: Reading | None, now: Reading, asked: Sequence[str]) -> Reading:
    """What was read now, and what was read before of queues that were not asked about."""
    if before is None:
        return now
    return Reading(
        depths={**_without(before.depths, asked), **now.depths},
        unread={**_without(before.unread, asked), **now.unread},
        unacked=now.unacked if asked else before.unacked,
        held_delayed=now.held_delayed if asked else before.held_delayed,
    )


def _without(values: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name not in names}
