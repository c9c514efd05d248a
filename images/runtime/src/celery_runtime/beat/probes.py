"""What beat's probes and metrics say."""

import time

from celery_runtime.health.probes import Clock, Verdict

#: Ticks are a few seconds apart; one of them may wait for a slow broker.
STALE_AFTER_SECONDS = 60
STALE_AFTER_TICKS = 3

METRIC = "celery_beat_last_{}_timestamp_seconds"
METRICS = {
    "tick": "When everything that was due had been sent.",
    "sent": "When the broker took a task.",
}


class BeatProbes:
    """Live: ticks are fresh, or beat waits for what is away. Ready: ticks are fresh."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._ticked_at: float | None = None
        self._waiting_for = "the schedule's store"
        self._stamps = dict.fromkeys(METRICS, 0.0)
        self.stale_after_seconds: float = STALE_AFTER_SECONDS

    def expect_ticks(self, *, every_seconds: float) -> None:
        """Say how far apart ticks may be."""
        self.stale_after_seconds = max(STALE_AFTER_SECONDS, STALE_AFTER_TICKS * every_seconds)

    def starting(self, what: str) -> None:
        """No tick yet: beat waits in one call, and rightly for as long as it takes."""
        self._ticked_at, self._waiting_for = None, what

    def ticked(self) -> None:
        """A tick has ended, and what was due is sent."""
        self._stamps["tick"] = time.time()
        self.waiting("")

    def sent(self) -> None:
        """The broker has taken a task."""
        self._stamps["sent"] = time.time()

    def waiting(self, what: str) -> None:
        """A tick has ended, but what it needs is away."""
        self._ticked_at, self._waiting_for = self._clock(), what

    def live(self) -> Verdict:
        """False when ticks have stopped."""
        silent_seconds = 0 if self._ticked_at is None else self._clock() - self._ticked_at
        if silent_seconds > self.stale_after_seconds:
            return Verdict(False, f"no tick of the schedule for {silent_seconds:.0f} s")
        waiting = self._waiting_for
        return Verdict(True, f"waiting for {waiting}" if waiting else "ticking")

    def ready(self) -> Verdict:
        """False while beat waits, and when ticks have stopped."""
        live = self.live()
        return Verdict(live.ok and not self._waiting_for, live.reason)

    def metrics(self) -> str:
        """When beat last did its work, for Prometheus; 0 for never."""
        return "".join(
            f"# HELP {METRIC.format(key)} {meaning}\n# TYPE {METRIC.format(key)} gauge\n"
            f"{METRIC.format(key)} {self._stamps[key]:.3f}\n"
            for key, meaning in METRICS.items()
        )


#: One beat a process: the program serves what the scheduler records.
probes = BeatProbes()
