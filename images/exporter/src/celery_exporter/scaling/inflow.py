"""How many messages come into each queue, from what the broker and the workers count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from celery_exporter.policy.arrivals import COUNT_SECONDS
from celery_exporter.readings import Pod

#: A source that was unread for longer has been away: what came meanwhile is not known.
OUTAGE_SECONDS = 10.0
#: The reading of a thousand pods takes ten seconds, and is no outage.
FLEET_OUTAGE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What came into each queue in five seconds; the same in each of so many such steps."""

    by_queue: Mapping[str, int]
    steps: int


class Inflows:
    """Differences of positions: a queue's position is what waits in it and what was taken from it.

    A queue's position falls where messages were purged, or taken by a worker that has not told of
    it yet. That is no arrival; and no arrival is negative.
    """

    def __init__(self, *, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._outage_seconds = outage_seconds
        self._since: float | None = None
        self._before: Mapping[str, int] = {}

    def count(self, positions: Mapping[str, int], now: float) -> Counts | None:
        """What came since it was last counted; None where that is no five seconds ago, or unknown.

        Positions that are not complete are not to be given: the count waits for the next ones.
        """
        elapsed = None if self._since is None else now - self._since
        if elapsed is not None and elapsed < COUNT_SECONDS:
            return None
        before, self._before, self._since = self._before, positions, now
        if elapsed is None or elapsed > self._outage_seconds:
            return None
        return Counts(
            by_queue={
                queue: max(0, round((position - before[queue]) * COUNT_SECONDS / elapsed))
                for queue, position in positions.items()
                if queue in before
            },
            steps=max(1, round(elapsed / COUNT_SECONDS)),
        )


class Fetched:
    """What workers have taken from each queue since the watch began, whichever come and go."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self._told: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._silent: set[str] = set()
        self._read_at: float | None = None

    def add(self, pods: Iterable[Pod], now: float) -> None:
        """Note what the pods tell; one that is silent for a moment adds it later."""
        current = list(pods)
        for pod in current:
            if pod.work is None:
                self._miss(pod, now)
            else:
                self._count(pod.name, pod.work.fetched, now)
        names = {pod.name for pod in current}
        self._told = {name: told for name, told in self._told.items() if name in names}
        self._silent &= names
        self._read_at = now

    def complete(self, pods: Iterable[Pod], now: float) -> bool:
        """Whether no pod is silent that may answer at the next moment."""
        return not any(
            pod.work is None and pod.name in self._told and self._is_recent(pod.name, now)
            for pod in pods
            if pod.ready
        )

    def _miss(self, pod: Pod, now: float) -> None:
        has_begun = pod.ready or pod.start_seconds is not None or self._read_at is None
        if has_begun:
            self._silent.add(pod.name)
        elif pod.name not in self._silent and not self._told.get(pod.name, (now, {}))[1]:
            # It will begin with nothing.
            self._told[pod.name] = (now, {})

    def _count(self, name: str, fetched: Mapping[str, int], now: float) -> None:
        before = self._before(name, now)
        if before is not None:
            for queue, count in fetched.items():
                known = before.get(queue, 0)
                # Fewer than before: the container has started again, from zero.
                added = count - known if count >= known else count
                self.totals[queue] = self.totals.get(queue, 0) + added
        self._told[name] = (now, fetched)
        self._silent.discard(name)

    def _before(self, name: str, now: float) -> Mapping[str, int] | None:
        """What a pod had told before; None where what it took since then, and when, is unknown."""
        if name in self._told:
            # Silent is who did not answer at the last reading, however long ago that was.
            at = self._read_at if self._read_at is not None else now
            return self._told[name][1] if self._is_recent(name, at) else None
        is_new = self._read_at is not None and now - self._read_at <= FLEET_OUTAGE_SECONDS
        return {} if is_new and name not in self._silent else None

    def _is_recent(self, name: str, now: float) -> bool:
        return now - self._told[name][0] <= OUTAGE_SECONDS
