"""The clairvoyant bound, by cases worked out by hand: five seconds to start, one to stop."""

from collections.abc import Callable

import pytest

from tests.benchmarks.autoscaling.bound import least_slots, lower_bound
from tests.benchmarks.autoscaling.ours import EVERYONE
from tests.benchmarks.autoscaling.outcome import run
from tests.benchmarks.autoscaling.workloads import Workload, bursts, kill_trap, zero_burst
from tests.exporter.test_simulator_cluster import workload_of


def bound(tasks: list[tuple[float, float]], *, slots: int = 4, wait: float = 10) -> float:
    return lower_bound(workload_of(tasks, wait=wait), slots=slots, start_seconds=5)


def test_one_task_takes_a_pod_for_its_time_a_start_and_a_stop() -> None:
    assert bound([(0, 30)]) == 36


def test_tasks_far_apart_take_a_pod_each() -> None:
    assert bound([(0, 30), (600, 30)]) == 72


def test_a_pod_is_kept_where_the_next_task_comes_sooner_than_another_pod() -> None:
    assert bound([(0, 30), (43, 30)]) == 36 + 30 + 3  # the first ends at 40 at the latest


def test_short_tasks_that_may_wait_fill_the_slots_of_one_pod() -> None:
    assert bound([(0, 4)] * 8) == 8 * 4 / 4 + 6


def test_a_burst_takes_the_pods_that_start_it_all_within_the_promise() -> None:
    # Each slot starts three tasks of 5 s within 10 s: at 0, 5 and 10. So 24 take eight slots.
    assert bound([(0, 5)] * 24) == 24 * 5 / 4 + 2 * 6
    assert least_slots([5.0] * 24, 10) == 8
    assert least_slots([5.0] * 25, 10) == 9


def test_long_tasks_take_whole_pods_while_they_surely_run() -> None:
    # Five tasks of 100 s run together from 10 to 100 whenever they began: two pods for 90 s.
    assert bound([(0, 100)] * 5) == 180 + 2 * 6


@pytest.mark.parametrize("make", [zero_burst, bursts, kill_trap])
def test_nobody_who_starts_every_task_in_time_is_below_the_bound(
    make: Callable[[int], Workload],
) -> None:
    workload = make(5)
    least = lower_bound(workload, slots=4, start_seconds=5)
    for scaler in EVERYONE:
        cluster = run(workload, scaler, seed=5)
        if max(cluster.waits) <= workload.promised_wait_seconds:
            assert cluster.replica_seconds >= least
