"""The simulator's queue and pods, by cases worked out by hand."""

import math

import pytest

from tests.benchmarks.autoscaling.cluster import Cluster, Pods
from tests.benchmarks.autoscaling.workloads import Workload


def workload_of(
    tasks: list[tuple[float, float]], *, horizon: float = 100, wait: float = 10
) -> Workload:
    """Arrivals and how long each runs."""
    return Workload(
        name="",
        title="",
        arrivals_seconds=[arrival for arrival, _ in tasks],
        service_seconds=[service for _, service in tasks],
        promised_wait_seconds=wait,
        promised_share=1,
        max_task_seconds=60,
        horizon_seconds=horizon,
    )


def cluster_of(
    tasks: list[tuple[float, float]],
    *,
    scalings: dict[float, int],
    slots: int = 1,
    grace: float = 30,
    idle_first: bool = False,
    seed: int = 1,
) -> Cluster:
    """A cluster that has run to its horizon, scaled by the clock."""
    pods = Pods(slots=slots, start_seconds=5, grace_seconds=grace, idle_first=idle_first)
    cluster = Cluster(workload_of(tasks), pods, seed=seed)
    for when, replicas in scalings.items():
        cluster.at(when, cluster.scale, replicas)
    cluster.run()
    return cluster


def test_tasks_wait_for_the_pod_to_start_and_for_those_before_them() -> None:
    cluster = cluster_of([(0, 4), (1, 4), (20, 1)], scalings={0: 1})
    assert list(cluster.waits) == [5, 8, 0]
    assert cluster.finished == 3


def test_a_pod_runs_as_many_tasks_at_once_as_it_has_slots() -> None:
    cluster = cluster_of([(0, 4)] * 5, scalings={0: 1}, slots=4)
    assert list(cluster.waits) == [5, 5, 5, 5, 9]


def test_messages_are_dealt_to_free_pods_in_turn() -> None:
    cluster = cluster_of([(10, 50), (11, 50), (12, 50)], scalings={0: 3, 20: 3}, slots=4)
    assert list(cluster.waits) == [0, 0, 0]
    assert sorted(len(pod.running) for pod in cluster.pods) == [0, 0, 0]
    cluster = cluster_of([(10, 95), (11, 95), (12, 95)], scalings={0: 3}, slots=4)
    assert sorted(len(pod.running) for pod in cluster.pods) == [1, 1, 1]


def test_a_pod_is_paid_from_its_creation_to_its_end_while_it_starts_and_drains_too() -> None:
    cluster = cluster_of([(0, 20)], scalings={10: 1, 20: 0})
    assert cluster.replica_seconds == 35 + 1 - 10  # started at 15, done at 35, stopped at 36
    assert cluster.killed == 0


def test_an_idle_pod_that_is_stopped_ends_within_a_second() -> None:
    assert cluster_of([], scalings={10: 2, 20: 0}).replica_seconds == 22


def test_a_pod_that_has_not_started_ends_at_once() -> None:
    assert cluster_of([], scalings={10: 1, 12: 0}).replica_seconds == 2


def test_what_is_alive_at_the_horizon_is_paid_until_then() -> None:
    assert cluster_of([], scalings={90: 3}).replica_seconds == 30


def test_a_pod_that_is_being_stopped_takes_nothing_new() -> None:
    cluster = cluster_of([(0, 20), (12, 1)], scalings={0: 1, 10: 0, 30: 1}, slots=4)
    assert list(cluster.waits) == [5, 35 - 12]


def test_a_task_that_outlasts_the_grace_is_killed_and_runs_again_before_all_others() -> None:
    cluster = cluster_of([(0, 50), (11, 1)], scalings={0: 1, 10: 0, 35: 1}, grace=30)
    assert cluster.killed == 1
    assert cluster.lost_seconds == 35
    # Started at 5, killed at 40 as the next pod becomes ready, and done at 90.
    assert list(cluster.waits) == [5, 90 - 11]
    assert cluster.finished == 2


def test_a_task_that_ends_within_the_grace_is_not_killed() -> None:
    assert cluster_of([(0, 34)], scalings={0: 1, 10: 0}, grace=30).killed == 0


def test_pods_that_are_not_ready_go_first() -> None:
    cluster = cluster_of([(6, 50)], scalings={0: 1, 20: 3, 22: 1})
    assert cluster.killed == 0
    assert len(cluster.active) == 1


@pytest.mark.parametrize("seed", range(5))
def test_idle_pods_go_before_busy_ones_where_the_deletion_cost_says_so(seed: int) -> None:
    tasks = [(6.0, 90.0)] * 3
    spared = cluster_of(tasks, scalings={0: 10, 20: 3}, idle_first=True, grace=0, seed=seed)
    assert spared.killed == 0
    assert len(spared.active) == 3


def test_without_the_deletion_cost_busy_pods_go_too() -> None:
    tasks = [(6.0, 90.0)] * 3
    killed = [cluster_of(tasks, scalings={0: 10, 20: 3}, grace=0, seed=s).killed for s in range(5)]
    assert sum(killed) > 0


def test_what_never_began_has_no_wait() -> None:
    cluster = cluster_of([(0, 1)], scalings={})
    assert math.isnan(cluster.waits[0])
    assert cluster.finished == 0
