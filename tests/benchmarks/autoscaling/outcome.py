"""What runs came to: waits, the bill, and what was killed."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.autoscaling.cluster import Cluster
from tests.benchmarks.autoscaling.scalers import Scaler
from tests.benchmarks.autoscaling.workloads import Workload


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One scaler on one workload, over some seeds: tasks pooled, costs and counts as a mean."""

    scaler: str
    tasks: int
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    #: Tasks that began too late, or not at all before the bill was closed.
    late: int
    replica_seconds: float
    #: Of all seeds, as is what follows: every single one counts.
    killed: int
    lost_seconds: float
    unfinished: int
    #: Scalings per hour.
    scalings: float
    #: Replicas over time with the first seed, for the plots.
    replicas: tuple[tuple[float, int], ...]

    @property
    def late_share(self) -> float:
        """Of all tasks."""
        return self.late / self.tasks


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def run(
    workload: Workload, scaler: Callable[[], Scaler], *, seed: int, start_seconds: float = 5.0
) -> Cluster:
    """Let one scaler work through one workload."""
    scales = scaler()
    pods = scales.pods(workload, start_seconds=start_seconds)
    cluster = Cluster(workload, pods, seed=seed, replicas=scales.initial)
    scales.attach(cluster, random.Random(seed))
    cluster.run()
    return cluster


def pool(name: str, clusters: Sequence[Cluster]) -> Outcome:
    """The figures of clusters whose time is over."""
    promised = clusters[0].workload.promised_wait_seconds
    hours = sum(cluster.workload.horizon_seconds for cluster in clusters) / 3600
    waits = sorted(
        math.inf if math.isnan(wait) else wait for cluster in clusters for wait in cluster.waits
    )
    return Outcome(
        scaler=name,
        tasks=len(waits),
        p50_seconds=percentile(waits, 0.50),
        p95_seconds=percentile(waits, 0.95),
        p99_seconds=percentile(waits, 0.99),
        late=sum(wait > promised for wait in waits),
        replica_seconds=sum(cluster.replica_seconds for cluster in clusters) / len(clusters),
        killed=sum(cluster.killed for cluster in clusters),
        lost_seconds=sum(cluster.lost_seconds for cluster in clusters),
        unfinished=len(waits) - sum(cluster.finished for cluster in clusters),
        scalings=sum(len(cluster.scalings) for cluster in clusters) / hours,
        replicas=tuple(clusters[0].scalings),
    )
