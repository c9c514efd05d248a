"""What the probes say of a worker: decided from what it tells and what the broker answers, no I/O.

A worker is called dead only where a restart would mend it. What makes one doubt it (its loop is
silent, or it fetches nothing) looks the same while the broker is away. So a doubt becomes a verdict
only when the broker has answered, twice, while that one doubt lasted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

#: A healthy loop answers within 2 s (gevent, eventlet) or at once (the others), and a message is
#: fetched within milliseconds; a fork, a slow reconnect or a throttled CPU may take some more.
STUCK_AFTER_SECONDS = 60
ENOUGH_ANSWERS = 2

Clock = Callable[[], float]


@dataclass(frozen=True)
class Verdict:
    """The answer to a probe."""

    ok: bool
    reason: str


class Probes(Protocol):
    """Whatever can be asked whether it lives and whether it works."""

    def live(self) -> Verdict:
        """False only where a restart of the process would mend it."""

    def ready(self) -> Verdict:
        """True while it does its work."""


class Process(Protocol):
    """What the probes ask of the process as a whole."""

    def draining(self) -> bool:
        """True from the signal to stop."""

    def running(self) -> int:
        """How many tasks run."""


class Consuming(Protocol):
    """What the probes ask of a consumer that has the broker."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Run this in the next turn of the loop."""

    def held_up(self) -> bool:
        """True where tasks run in the loop's own thread, fill it, and may take their time."""

    def slots_free(self) -> bool:
        """True when the worker holds fewer messages than it has slots."""


class LoopSign:
    """Whether a loop turns, learnt by handing it a callback and waiting for the call.

    `Consumer.call_soon` takes one in every pool: Celery's event loop (prefork, threads, solo) and
    its blocking loop (gevent, eventlet) both run it in their next turn. Nothing runs between two
    questions.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Clock) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._asked_at: float | None = None
        self.has_turned = False
        self.ask()

    def ask(self) -> float:
        """When the oldest open question was asked; asks one when none is open."""
        asked_at = self._asked_at
        if asked_at is None:
            asked_at = self._asked_at = self._clock()
            self._call_soon(self._answer)
        return asked_at

    def _answer(self) -> None:
        self.has_turned = True
        self._asked_at = None


class Kind(Enum):
    """What a doubt is about."""

    SILENT_LOOP = auto()
    NOTHING_FETCHED = auto()


@dataclass(frozen=True)
class Doubt:
    """What would be a reason to restart, if the broker is there; equal as long as it lasts."""

    kind: Kind
    since: float


class Evidence:
    """The answers of the broker that came while one doubt lasted."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """The broker gave no answer, or one that removes the doubt."""
        self._doubt: Doubt | None = None
        self._answers = 0
        self.waiting = 0

    def add(self, doubt: Doubt, waiting: int) -> None:
        """The broker has answered how many messages wait."""
        self._answers = self._answers + 1 if doubt == self._doubt else 1
        self._doubt, self.waiting = doubt, waiting

    def confirms(self, doubt: Doubt) -> bool:
        """True when the broker was there all the time."""
        return doubt == self._doubt and self._answers >= ENOUGH_ANSWERS


class WorkerProbes:
    """Live: the loop turns and fetches what waits, or the broker is away. Ready: it consumes."""

    def __init__(
        self,
        process: Process,
        *,
        stuck_after_seconds: float = STUCK_AFTER_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._process = process
        self._clock = clock
        self._consuming: Consuming | None = None
        self._loop: LoopSign | None = None
        self._evidence = Evidence()
        self._fetched_at = clock()
        self._drained_at: float | None = None
        self.stuck_after_seconds = stuck_after_seconds
        #: The second answer comes when the time is over, the first halfway.
        self.ask_every_seconds = stuck_after_seconds / ENOUGH_ANSWERS

    def connected(self, consuming: Consuming) -> None:
        """The broker is there and the loop is about to run."""
        self._evidence.clear()
        self._fetched_at = self._clock()
        self._consuming = consuming
        self._loop = LoopSign(consuming.call_soon, self._clock)

    def disconnected(self) -> None:
        """The broker is gone, or the worker stops: no loop runs."""
        self._loop = None

    def fetched(self, **_: object) -> None:
        """A message has come, whatever it holds."""
        self._fetched_at = self._clock()

    def doubtful(self) -> bool:
        """True when the broker is to be asked how many messages wait."""
        return self._doubt() is not None

    def answered(self, waiting: int) -> None:
        """The broker is there, and this many messages wait in the worker's queues."""
        doubt = self._doubt()
        if doubt is None or (doubt.kind is Kind.NOTHING_FETCHED and not waiting):
            self._evidence.clear()
        else:
            self._evidence.add(doubt, waiting)

    def unanswered(self) -> None:
        """The broker cannot be asked: nothing is known of it, and so nothing of the worker."""
        self._evidence.clear()

    def live(self) -> Verdict:
        """False when only a restart helps; a broker that is away is nothing it could mend."""
        if self._process.draining():
            return self._drain()
        if self._loop is None:
            return Verdict(True, "waiting for the broker")
        doubt = self._doubt()
        if doubt is None:
            return Verdict(True, "consuming")
        seconds = self._clock() - doubt.since
        if seconds > self.stuck_after_seconds and self._evidence.confirms(doubt):
            return Verdict(False, self._accusation(doubt.kind, seconds))
        return Verdict(True, _excuse(doubt.kind, seconds))

    def ready(self) -> Verdict:
        """True from the loop's first turn until the connection or the worker ends."""
        live = self.live()
        loop = self._loop
        if self._process.draining() or loop is None or not live.ok:
            return Verdict(False, live.reason)
        if not loop.has_turned:
            return Verdict(False, "connected, about to consume")
        # Excused or not, a loop that stands still does not consume.
        return Verdict(not self._is_silent(), live.reason)

    def _doubt(self) -> Doubt | None:
        loop, consuming = self._loop, self._consuming
        if loop is None or consuming is None:
            return None
        asked_at = loop.ask()
        if self._is_long_ago(asked_at) and not consuming.held_up():
            return Doubt(Kind.SILENT_LOOP, asked_at)
        if self._is_long_ago(self._fetched_at) and consuming.slots_free():
            return Doubt(Kind.NOTHING_FETCHED, self._fetched_at)
        return None

    def _is_silent(self) -> bool:
        doubt = self._doubt()
        if doubt is None or doubt.kind is not Kind.SILENT_LOOP:
            return False
        return self._clock() - doubt.since > self.stuck_after_seconds

    def _is_long_ago(self, moment: float) -> bool:
        return self._clock() - moment >= self.ask_every_seconds

    def _accusation(self, kind: Kind, seconds: float) -> str:
        if kind is Kind.SILENT_LOOP:
            return f"the consumer loop has been stuck for {seconds:.0f} s"
        waiting = _counted(self._evidence.waiting, "message")
        return f"{waiting} waiting, slots free, nothing fetched for {seconds:.0f} s"

    def _drain(self) -> Verdict:
        running = self._process.running()
        if running:
            self._drained_at = None
            return Verdict(True, f"shutting down, {_counted(running, 'task')} to finish")
        if self._drained_at is None:
            self._drained_at = self._clock()
        seconds = self._clock() - self._drained_at
        if seconds > self.stuck_after_seconds:
            return Verdict(False, f"every task has ended, but not the process, for {seconds:.0f} s")
        return Verdict(True, "shutting down, no task left")


def _excuse(kind: Kind, seconds: float) -> str:
    if kind is Kind.SILENT_LOOP:
        return f"the consumer loop is silent for {seconds:.0f} s, perhaps because the broker is"
    return "consuming"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
