"""From what broker and workers say, at any moment, to what each group needs.

No clock and no input or output: what is known is given, and the time at which it was.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from celery_exporter import policy
from celery_exporter.groups import Autoscaling, Group
from celery_exporter.policy import Arrivals, Decision, Observation, ServiceTimes, decide
from celery_exporter.readings import Pod, Reading, Work
from celery_exporter.scaling import observing
from celery_exporter.scaling.heads import HeadAge
from celery_exporter.scaling.inflow import OUTAGE_SECONDS, Counts, Fetched, Inflows
from celery_exporter.scaling.roll import Roll


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One group at one moment."""

    group: Group
    #: Messages that wait for it; None where the broker does not tell.
    backlog: int | None
    #: None where nothing is known of its pods.
    pods: Sequence[Pod] | None
    seen: Observation | None
    #: None where the group is not scaled, or nothing is known of its pods.
    decision: Decision | None

    @property
    def active(self) -> bool | None:
        """Whether it needs a pod; None where that is not known."""
        if self.decision is None:
            return True if self.backlog else None
        return self.decision.replicas > 0

    @property
    def metric_value(self) -> int | None:
        """What an HPA with a target of 1 a pod has to be told."""
        if self.decision is None or self.seen is None:
            return None
        return policy.metric_value(self.decision.replicas, replicas=self.seen.replicas)

    @property
    def frozen(self) -> bool:
        """Whether it stays as it is because too little is known."""
        return self.decision is None or self.decision.reason == "unknown"

    @property
    def idle(self) -> int | None:
        """Ready pods that run nothing."""
        if self.seen is None or self.seen.running is None:
            return None
        active = [pod for pod in self.pods or () if pod.ready and not pod.stopping]
        return sum(1 for pod in active if pod.work and not pod.work.running)


class _Flow:
    """What is remembered of one group."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.service = ServiceTimes()
        self._carried = 0.0
        #: When messages were last seen to wait, and how many replicas were planned last.
        self.waiting_at = -math.inf
        self.planned = 0

    def ended(self, work: Work) -> None:
        """Remember how long the tasks ran that have ended."""
        for task in work.ended:
            self.service.add(task.runtime_seconds)

    def add(self, count: float) -> None:
        """Remember the arrivals of five seconds; the rest of a share goes to the next."""
        whole, self._carried = divmod(count + self._carried, 1)
        self.arrivals.add(int(whole))


class Planner:
    """What is remembered of all groups."""

    def __init__(self, groups: Sequence[Group], *, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self.groups = groups
        self._outage_seconds = outage_seconds
        self._flows = {group.name: _Flow() for group in groups}
        self._roll = Roll()
        self._fetched = Fetched()
        self._inflows = Inflows(outage_seconds=outage_seconds)
        self._heads = {queue: HeadAge() for group in groups for queue in group.queues}
        self._ready: Mapping[str, int] = {}
        self._read_at: float | None = None
        #: The sources that were read since arrivals were counted last.
        self._fresh: set[str] = set()
        self.queue_arrivals = {queue: Arrivals() for queue in self._heads}
        #: How long the head of each queue waits, as it was last inferred.
        self.oldest_seconds: Mapping[str, float] = {}

    @property
    def queues(self) -> Sequence[str]:
        """The queues of all groups."""
        return list(self._heads)

    def take_fleet(self, pods: Sequence[Pod], now: float) -> None:
        """Note what Kubernetes and the workers say."""
        self._fetched.add(pods, now)
        self._roll.take(pods, now)
        for pod in pods:
            if pod.work is not None and pod.group in self._flows:
                self._flows[pod.group].ended(pod.work)
        self._fresh.add("fleet")
        self._count(now)

    def miss_fleet(self) -> None:
        """Note that Kubernetes does not answer."""
        self._roll.miss()

    def take_broker(
        self, reading: Reading, now: float, *, oldest_seconds: Mapping[str, float]
    ) -> None:
        """Note what the broker says, with the ages of heads where it tells them."""
        self._ready = {
            queue: reading.depths[queue].ready for queue in self._heads if queue in reading.depths
        }
        self._read_at = now
        self.oldest_seconds = oldest_seconds
        if self._roll.is_known(now):
            self._infer(oldest_seconds, now)
        self._fresh.add("broker")
        self._count(now)

    def plans(self, now: float) -> dict[str, Plan]:
        """What each group needs."""
        pods = self._roll.pods(now)
        return {group.name: self._plan(group, pods, now) for group in self.groups}

    def queue_running(self, now: float) -> dict[str, int]:
        """Tasks of each queue that run; nothing where a pod does not tell."""
        pods = self._roll.pods(now)
        if pods is None or observing.running(pods) is None:
            return {}
        counts = dict.fromkeys(self._heads, 0)
        for task in (task for pod in pods if pod.work for task in pod.work.running):
            counts[task.queue] = counts.get(task.queue, 0) + 1
        return counts

    def _infer(self, told_seconds: Mapping[str, float], now: float) -> None:
        totals = self._fetched.totals
        inferred = {
            queue: self._heads[queue].of(ready=ready, taken=totals.get(queue, 0), now=now)
            for queue, ready in self._ready.items()
        }
        # What the broker tells is true at least: of a message that was sent before the watch began,
        # or of one that others overtake.
        self.oldest_seconds = {
            queue: max(seconds, told_seconds.get(queue, 0.0)) for queue, seconds in inferred.items()
        }

    def _count(self, now: float) -> None:
        """Count arrivals once both have been read: neither is older then than its interval."""
        if self._fresh != {"broker", "fleet"} or not self._ready:
            return
        pods = self._roll.pods(now)
        if pods is None or not self._fetched.complete(self._roll.told_of, now):
            return
        self._fresh.clear()
        totals = self._fetched.totals
        positions = {queue: ready + totals.get(queue, 0) for queue, ready in self._ready.items()}
        counts = self._inflows.count(positions, now)
        if counts is not None:
            for _ in range(counts.steps):
                self._add(counts, _replicas(pods))

    def _add(self, counts: Counts, replicas: Mapping[str, int]) -> None:
        for queue, count in counts.by_queue.items():
            self.queue_arrivals[queue].add(count)
        for group in self.groups:
            if all(queue in counts.by_queue for queue in group.queues):
                self._flows[group.name].add(
                    sum(
                        counts.by_queue[queue] * self._shares(queue, replicas)[group.name]
                        for queue in group.queues
                    )
                )

    def _plan(self, group: Group, pods: Sequence[Pod] | None, now: float) -> Plan:
        backlog = self._backlog(group, _replicas(pods or ()), now)
        if pods is None:
            return Plan(group=group, backlog=backlog, pods=None, seen=None, decision=None)
        own = [pod for pod in pods if pod.group == group.name]
        flow = self._flows[group.name]
        ages = [self.oldest_seconds[each] for each in group.queues if each in self.oldest_seconds]
        seen = observing.observe(
            own,
            backlog=backlog,
            oldest_wait_seconds=max(ages, default=None),
            arrivals=flow.arrivals,
            service=flow.service,
        )
        if backlog:
            flow.waiting_at = now
        elif not self._roll.is_newer_than(flow.waiting_at):
            # What waited has been taken since the pods were read, and nobody knows by which.
            seen = replace(seen, running=None)
        decision = self._decide(group, seen)
        return Plan(group=group, backlog=backlog, pods=own, seen=seen, decision=decision)

    def _decide(self, group: Group, seen: Observation) -> Decision | None:
        limits, flow = group.autoscaling, self._flows[group.name]
        if limits is None:
            return None
        decision = decide(self._limits(group, limits), seen)
        if decision.reason == "unknown" and decision.replicas < flow.planned:
            # They may have been started, and not been read of yet.
            decision = replace(decision, replicas=flow.planned)
        flow.planned = decision.replicas
        return decision

    def _limits(self, group: Group, limits: Autoscaling) -> policy.Group:
        return policy.Group(
            min_replicas=limits.min_replicas,
            max_replicas=limits.max_replicas,
            slots_per_replica=group.slots,
            queue_wait_seconds=limits.queue_wait_seconds,
            pod_start_seconds=self._roll.start_seconds(group.name),
            max_task_seconds=group.max_task_seconds,
        )

    def _backlog(self, group: Group, replicas: Mapping[str, int], now: float) -> int | None:
        if self._read_at is None or now - self._read_at > self._outage_seconds:
            return None
        if any(queue not in self._ready for queue in group.queues):
            return None
        return sum(
            observing.part(self._ready[queue], self._shares(queue, replicas)[group.name])
            for queue in group.queues
        )

    def _shares(self, queue: str, replicas: Mapping[str, int]) -> Mapping[str, float]:
        return observing.shares(queue, self.groups, replicas)


def _replicas(pods: Sequence[Pod]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pod in pods:
        counts[pod.group] = counts.get(pod.group, 0) + (not pod.stopping)
    return counts
