"""The pods as they are known: what one that is silent for a moment last said still counts."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from celery_exporter.readings import Pod, Work
from celery_exporter.scaling.inflow import FLEET_OUTAGE_SECONDS

#: Until a pod of the group was seen to start: with its image on the node.
UNKNOWN_START_SECONDS = 10.0
#: A new node takes minutes. What takes longer waited for a broker or an image, and says nothing
#: of the next pod.
LONGEST_START_SECONDS = 300.0
STARTS = 20
#: Shorter than the chart's cooldown to zero, so that nobody is sent to sleep by what is not true
#: any more; longer than one answer that was missed.
SILENT_SECONDS = 4.0

_NOTHING = Work(slots=0, draining=False, running=(), fetched={})


@dataclass(frozen=True, kw_only=True)
class _Told:
    at: float
    work: Work


class Roll:
    """The pods of all groups."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._started: set[str] = set()
        self._starts: dict[str, deque[float]] = {}
        self._read_at: float | None = None
        self._is_away = False
        #: The pods as they were last told of.
        self.told_of: Sequence[Pod] = ()

    def take(self, pods: Sequence[Pod], now: float) -> None:
        """Note what Kubernetes and the workers say."""
        for pod in pods:
            if pod.work is not None:
                self._told[pod.name] = _Told(at=now, work=pod.work)
            if pod.start_seconds is not None and pod.name not in self._started:
                self._starts.setdefault(pod.group, deque(maxlen=STARTS)).append(pod.start_seconds)
                self._started.add(pod.name)
        names = {pod.name for pod in pods}
        self._told = {name: told for name, told in self._told.items() if name in names}
        self._started &= names
        self.told_of, self._read_at, self._is_away = pods, now, False

    def miss(self) -> None:
        """Kubernetes does not answer: which pods there are is known, but not what they run."""
        self._is_away = True

    def pods(self, now: float) -> Sequence[Pod] | None:
        """The pods, with the work of each as it is known; None where Kubernetes has been away."""
        if not self.is_known(now):
            return None
        return [replace(pod, work=self._work(pod, now)) for pod in self.told_of]

    def is_known(self, now: float) -> bool:
        """Whether Kubernetes has said lately which pods there are."""
        limit = SILENT_SECONDS if self._is_away else FLEET_OUTAGE_SECONDS
        return self._read_at is not None and now - self._read_at <= limit

    def is_newer_than(self, moment: float) -> bool:
        """Whether the pods were read after this moment."""
        return self._read_at is not None and self._read_at > moment

    def start_seconds(self, group: str) -> float:
        """How long a pod of a group takes until it is ready."""
        starts = self._starts.get(group)
        return min(median(starts), LONGEST_START_SECONDS) if starts else UNKNOWN_START_SECONDS

    def _work(self, pod: Pod, now: float) -> Work | None:
        if self._is_away:
            return None
        told = self._told.get(pod.name)
        if pod.work is not None and self._read_at is not None:
            return _aged(pod.work, now - self._read_at)
        if told is None:
            has_begun = pod.ready or pod.start_seconds is not None
            return None if has_begun else _NOTHING
        seconds = now - told.at
        return _aged(told.work, seconds) if seconds <= SILENT_SECONDS else None


def _aged(work: Work, seconds: float) -> Work:
    running = [replace(task, seconds=task.seconds + seconds) for task in work.running]
    return replace(work, running=running)
