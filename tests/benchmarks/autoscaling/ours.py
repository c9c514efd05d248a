"""This project's policy behind KEDA's external push scaler, and what the exporter sees."""

import random

from celery_exporter.policy import (
    Arrivals,
    Decision,
    Group,
    Observation,
    ServiceTimes,
    decide,
    metric_value,
)
from celery_exporter.policy.arrivals import COUNT_SECONDS
from celery_exporter.policy.decision import LONG_TASK_SECONDS
from tests.benchmarks.autoscaling.cluster import Cluster, every, long_running
from tests.benchmarks.autoscaling.hpa import Behavior, Policy
from tests.benchmarks.autoscaling.scalers import PEERS, Keda, Scaler
from tests.benchmarks.autoscaling.workloads import Workload


class Exporter:
    """What the exporter knows: from events, the broker and the pods of the group."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.service = ServiceTimes()
        cluster.on_finish = lambda seconds: self.service.add(seconds)
        self.arrivals = Arrivals()
        self._arrived = 0
        every(cluster, COUNT_SECONDS, self._count, first=COUNT_SECONDS)

    def _count(self) -> None:
        """What comes while nothing can be read is never counted."""
        cluster = self._cluster
        arrived, self._arrived = self._arrived, cluster.arrived
        if not cluster.blind:
            self.arrivals.add(cluster.arrived - arrived)

    def look(self) -> Observation:
        """The state of the group now."""
        cluster, blind = self._cluster, self._cluster.blind
        active = cluster.active
        long = long_running(active, cluster.now, LONG_TASK_SECONDS)
        waiting = cluster.waiting
        oldest = cluster.now - cluster.workload.arrivals_seconds[waiting[0]] if waiting else 0.0
        return Observation(
            replicas=cluster.replicas,
            ready_replicas=sum(pod.ready is not None for pod in active),
            backlog=None if blind else len(waiting),
            oldest_wait_seconds=None if blind else oldest,
            running=None if blind else sum(len(pod.running) for pod in active),
            long_running=len(long),
            held_replicas=len(set(long)),
            arrivals_per_second=None if blind else self.arrivals.per_second,
            peak_arrivals_per_second=self.arrivals.peak_per_second,
            service=self.service,
        )


class Ours(Keda):
    """Push at the first message, busy pods as a floor, idle pods first, grace for every task.

    The HPA may reach any size at once. It keeps a pod for as long as the chart tells it: at the end
    each task that ran at the first look has ended, or is known as a long one.
    """

    name = "celery_exporter"
    polling_seconds = 5.0
    cooldown_seconds = 5.0
    idle_first = True
    push_seconds = 1.0

    def grace(self, workload: Workload) -> float:
        """As the chart derives it: the longest task, and a moment to say goodbye."""
        return workload.max_task_seconds + 30

    def attach(self, cluster: Cluster, rng: random.Random) -> None:
        workload = cluster.workload
        self.group = Group(
            min_replicas=0,
            max_replicas=self.maximum,
            slots_per_replica=cluster.pods_settings.slots,
            queue_wait_seconds=workload.promised_wait_seconds,
            pod_start_seconds=cluster.pods_settings.start_seconds,
            max_task_seconds=workload.max_task_seconds,
        )
        self.behavior = Behavior(
            up=(Policy(value=self.maximum, period_seconds=15),),
            down_window_seconds=30.0,
        )
        super().attach(cluster, rng)
        self.exporter = Exporter(cluster)
        if self.push_seconds:
            every(cluster, self.push_seconds, self._push, first=rng.uniform(0, self.push_seconds))

    def _decide(self) -> Decision:
        return decide(self.group, self.exporter.look())

    def _push(self) -> None:
        if self.cluster.replicas == 0 and self.active:
            self._poll()

    @property
    def active(self) -> bool:
        return self._decide().replicas > 0

    def recommend(self) -> int:
        wanted = self._decide().replicas
        return self._average_value(metric_value(wanted, replicas=self.cluster.replicas), 1)


EVERYONE: tuple[type[Scaler], ...] = (*PEERS, Ours)
