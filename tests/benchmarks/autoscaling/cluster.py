"""One queue and the pods that work on it: every arrival, start, end and kill, by the clock.

Workers acknowledge late and fetch no more than they have slots (prefetch multiplier 1), whoever
scales them: so what waits is ready, what runs is unacknowledged, and a task that is killed is
delivered again, first in the queue. RabbitMQ deals messages to pods with a free slot in turn.

A pod takes `pod_start_seconds` until it is ready. One that is stopped takes nothing new, ends what
it runs, and is killed when its grace is over. It is paid for from its creation to its end.
"""

import heapq
import math
import random
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.benchmarks.autoscaling.workloads import Workload

#: From the last task of a pod that is being stopped to its end.
POD_STOP_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Pods:
    """How pods behave; the same for everyone but for the grace and the order in which they go."""

    slots: int = 4
    start_seconds: float = 5.0
    grace_seconds: float = 30.0
    idle_first: bool = False


class Pod:
    """A worker."""

    __slots__ = ("created", "gone", "offered", "ready", "running", "stopping", "tie")

    def __init__(self, created: float, tie: float) -> None:
        self.created = created
        self.tie = tie
        self.ready: float | None = None
        self.stopping = False
        self.gone = False
        #: Whether it stands in line for messages.
        self.offered = False
        #: Since when each task runs.
        self.running: dict[int, float] = {}


class Cluster:
    """The state at one instant, and what leads to the next."""

    def __init__(self, workload: Workload, pods: Pods, *, seed: int, replicas: int = 0) -> None:
        self.workload = workload
        self.pods_settings = pods
        self.now = 0.0
        self.replicas = 0
        self.pods: list[Pod] = []
        self.waiting: deque[int] = deque()
        self.arrived = 0
        self.finished = 0
        self.delivered = 0
        self.waits = array("d", [math.nan]) * len(workload.arrivals_seconds)
        self.killed = 0
        self.lost_seconds = 0.0
        self.replica_seconds = 0.0
        self.on_finish: Callable[[float], None] = lambda _: None
        self.scalings: list[tuple[float, int]] = []
        self._offers: deque[Pod] = deque()
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._number = 0
        self._rng = random.Random(seed)
        self.scale(replicas)

    def at(self, when: float, call: Callable[..., None], *arguments: object) -> None:
        """Call when the clock shows this; in the order of the calls where times are equal."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, call, arguments))

    def run(self) -> None:
        """Until the bill is closed."""
        arrivals = self.workload.arrivals_seconds
        end = self.workload.horizon_seconds
        events = self._events
        while True:
            arrival = arrivals[self.arrived] if self.arrived < len(arrivals) else math.inf
            event = events[0][0] if events else math.inf
            if min(arrival, event) > end:
                break
            if arrival <= event:
                self.now = arrival
                self.waiting.append(self.arrived)
                self.arrived += 1
                if self._offers:
                    self._deliver()
            else:
                self.now, _, call, arguments = heapq.heappop(events)
                call(*arguments)
        self.now = end
        self.replica_seconds += sum(end - pod.created for pod in self.pods)

    @property
    def blind(self) -> bool:
        """Whether neither the broker nor a metric can be read."""
        start, end = self.workload.blind_seconds
        return start <= self.now < end

    @property
    def active(self) -> list[Pod]:
        """The pods that are not being stopped: what a ReplicaSet counts."""
        return [pod for pod in self.pods if not pod.stopping]

    @property
    def running(self) -> int:
        """Delivered and not acknowledged, on whatever pod."""
        return sum(len(pod.running) for pod in self.pods)

    def scale(self, replicas: int) -> None:
        """What writing `spec.replicas` leads to."""
        if replicas == self.replicas:
            return
        self.scalings.append((self.now, replicas))
        for _ in range(self.replicas, replicas):
            self._create()
        surplus = self.replicas - replicas
        if surplus > 0:
            for pod in sorted(self.active, key=self._victim_rank)[:surplus]:
                self._stop(pod)
        self.replicas = replicas

    def _victim_rank(self, pod: Pod) -> tuple[float, ...]:
        """The ReplicaSet's order: not ready, deletion cost, ready for how long (by doublings).

        Pods are spread evenly over nodes, so the crowded node decides nothing.
        """
        if pod.ready is None:
            return (0, 0, 0, pod.tie)
        cost = len(pod.running) if self.pods_settings.idle_first else 0
        age = self.now - pod.ready
        return (1, cost, math.floor(math.log2(age)) if age > 0 else -1, pod.tie)

    def _create(self) -> None:
        pod = Pod(self.now, self._rng.random())
        self.pods.append(pod)
        self.at(self.now + self.pods_settings.start_seconds, self._become_ready, pod)

    def _become_ready(self, pod: Pod) -> None:
        if pod.stopping or pod.gone:
            return
        pod.ready = self.now
        self._offer(pod)
        self._deliver()

    def _offer(self, pod: Pod) -> None:
        if not pod.offered:
            pod.offered = True
            self._offers.append(pod)

    def _deliver(self) -> None:
        while self.waiting and self._offers:
            pod = self._offers.popleft()
            pod.offered = False
            if pod.stopping or len(pod.running) >= self.pods_settings.slots:
                continue
            self._start(pod, self.waiting.popleft())
            if len(pod.running) < self.pods_settings.slots:
                self._offer(pod)

    def _start(self, pod: Pod, task: int) -> None:
        if self.waits[task] != self.waits[task]:
            self.waits[task] = self.now - self.workload.arrivals_seconds[task]
        self.delivered += 1
        pod.running[task] = self.now
        self.at(self.now + self.workload.service_seconds[task], self._finish, pod, task)

    def _finish(self, pod: Pod, task: int) -> None:
        if pod.gone:
            return
        self.finished += 1
        self.on_finish(self.now - pod.running.pop(task))
        if pod.stopping:
            if not pod.running:
                self.at(self.now + POD_STOP_SECONDS, self._remove, pod)
            return
        self._offer(pod)
        if self.waiting:
            self._deliver()

    def _stop(self, pod: Pod) -> None:
        pod.stopping = True
        if pod.ready is None:
            self._remove(pod)
        elif not pod.running:
            self.at(self.now + POD_STOP_SECONDS, self._remove, pod)
        else:
            self.at(self.now + self.pods_settings.grace_seconds, self._remove, pod)

    def _remove(self, pod: Pod) -> None:
        """The end of a pod; what it still runs is killed and goes back to the queue's head."""
        if pod.gone:
            return
        pod.gone = True
        self.pods.remove(pod)
        self.replica_seconds += self.now - pod.created
        self.killed += len(pod.running)
        self.lost_seconds += sum(self.now - since for since in pod.running.values())
        self.waiting.extendleft(sorted(pod.running, reverse=True))
        self._deliver()


def every(cluster: Cluster, seconds: float, call: Callable[[], None], *, first: float) -> None:
    """Call for ever, beginning at `first`."""

    def tick() -> None:
        call()
        cluster.at(cluster.now + seconds, tick)

    cluster.at(first, tick)


def long_running(pods: Iterable[Pod], now: float, seconds: float) -> list[Pod]:
    """A pod for each of its tasks that has run for so long."""
    return [pod for pod in pods for since in pod.running.values() if now - since >= seconds]
