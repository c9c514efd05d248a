"""Peers and the project's own policy in the simulator."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.benchmarks.autoscaling import workloads
from tests.benchmarks.autoscaling.cluster import Cluster, Pods
from tests.benchmarks.autoscaling.ours import EVERYONE, Ours
from tests.benchmarks.autoscaling.outcome import percentile, pool, run
from tests.benchmarks.autoscaling.report import Case
from tests.benchmarks.autoscaling.scalers import (
    Airflow,
    Article,
    KedaReady,
    KedaTime,
    KedaTotal,
    Scaler,
)
from tests.exporter.test_simulator_cluster import workload_of


class Zero(random.Random):
    """Every phase begins at once."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return a


def ran(
    make: Callable[[], Scaler],
    tasks: list[tuple[float, float]],
    *,
    horizon: float = 1000,
    blind: tuple[float, float] = (0.0, 0.0),
) -> Cluster:
    """A run in which HPA and KEDA begin at zero."""
    workload = replace(workload_of(tasks, horizon=horizon), blind_seconds=blind)
    scaler = make()
    cluster = Cluster(workload, scaler.pods(workload, start_seconds=5), seed=1)
    cluster.scale(scaler.initial)
    scaler.attach(cluster, Zero())
    cluster.run()
    return cluster


def test_keda_wakes_at_its_next_poll_and_sleeps_when_the_cooldown_is_over() -> None:
    cluster = ran(KedaReady, [(31.0, 1.0)])
    assert cluster.scalings == [(60, 1), (390, 0)]  # ready at 65; last active at 60, 300 s ago


def test_keda_on_ready_messages_stops_a_pod_whose_task_runs_and_kills_it() -> None:
    cluster = ran(KedaReady, [(31.0, 900.0)], horizon=419)
    assert cluster.killed == 0
    assert ran(KedaReady, [(31.0, 900.0)], horizon=420).killed == 1


def test_keda_on_all_messages_stays_while_a_task_runs() -> None:
    cluster = ran(KedaTotal, [(31.0, 400.0)])
    assert cluster.scalings == [(60, 1), (780, 0)]  # done at 465, so last active at 450
    assert cluster.killed == 0


def test_keda_scales_out_in_the_steps_of_its_hpa() -> None:
    cluster = ran(KedaReady, [(31.0, 100.0)] * 400, horizon=140)
    assert [replicas for _, replicas in cluster.scalings] == [1, 4, 8, 16, 20]


def test_airflow_polls_every_five_seconds_and_sleeps_after_thirty() -> None:
    cluster = ran(Airflow, [(31.0, 1.0)])
    assert cluster.scalings == [(35, 1), (75, 0)]


def test_the_articles_hpa_waits_for_a_hundred_messages_a_pod() -> None:
    assert ran(Article, [(31.0, 1.0)] * 200, horizon=300).scalings == [(0, 2)]
    grown = ran(Article, [(31.0, 60.0)] * 900, horizon=80)
    assert [replicas for _, replicas in grown.scalings] == [2, 4, 8, 9]


def test_consumption_time_is_what_waits_and_runs_over_the_rate_of_deliveries() -> None:
    workload = workload_of([(0.5, 100.0)] * 20, horizon=6)
    scaler = KedaTime()
    cluster = Cluster(workload, Pods(start_seconds=1), seed=1, replicas=1)
    scaler.attach(cluster, Zero())
    cluster.run()
    # 20 came and 4 were delivered within the sample of five seconds; 20 wait or run.
    assert scaler.recommend() == 3  # (4 - .8) / .8 + 20 / .8 = 29 s, promised 10, one pod


@pytest.mark.parametrize("make", EVERYONE)
def test_nothing_is_scaled_while_there_is_no_metric(make: type[Scaler]) -> None:
    tasks = [(float(second), 3.0) for second in range(100) for _ in range(10)]
    cluster = ran(make, tasks, blind=(60, 360), horizon=1500)
    assert not [when for when, _ in cluster.scalings if 60 <= when < 360]
    assert {when for when, _ in cluster.scalings if when >= 360}


def test_ours_runs_the_first_task_two_seconds_after_a_pod_could_at_the_latest() -> None:
    for seed in range(20):
        workload = workload_of([(31.3, 1.0)])
        assert run(workload, Ours, seed=seed).waits[0] <= 5 + 2


def test_ours_sleeps_soon_after_the_last_task() -> None:
    scalings = ran(Ours, [(31.3, 10.0)]).scalings
    assert [replicas for _, replicas in scalings] == [1, 0]
    assert scalings[-1][0] <= 31.3 + 1 + 5 + 10 + 2 * Ours.polling_seconds + 1


@pytest.mark.parametrize("make", [workloads.zero_burst, workloads.sparse, workloads.kill_trap])
@pytest.mark.parametrize("seed", [7, 8])
def test_ours_keeps_the_promise_and_kills_nothing(
    make: Callable[[int], workloads.Workload], seed: int
) -> None:
    workload = make(seed)
    outcome = pool("ours", [run(workload, Ours, seed=seed)])
    assert outcome.late_share <= 1 - workload.promised_share
    assert (outcome.killed, outcome.unfinished) == (0, 0)


def test_ours_keeps_bursts_better_and_cheaper_than_the_best_peer_whatever_the_seeds() -> None:
    seeds = (7, 8, 9)
    made = [workloads.bursts(seed) for seed in seeds]
    outcomes = [
        pool(make.name, [run(one, make, seed=s) for s, one in zip(seeds, made, strict=True)])
        for make in EVERYONE
    ]
    case = Case(workload=made[0], bound_seconds=1, seeds=3, outcomes=tuple(outcomes))
    assert case.won
    assert case.kept(case.ours)


@pytest.mark.parametrize(
    "make", [make for make in workloads.WORKLOADS if make is not workloads.diurnal]
)
def test_a_workload_is_the_same_for_the_same_seed_and_in_order(
    make: Callable[[int], workloads.Workload],
) -> None:
    first, again = make(3), make(3)
    assert first == again
    assert first.arrivals_seconds == sorted(first.arrivals_seconds)
    assert max(first.service_seconds) <= first.max_task_seconds


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.5) == 3


@pytest.mark.parametrize("seed", range(5))
def test_of_ten_pods_the_seven_idle_ones_go_and_the_three_with_long_tasks_stay(seed: int) -> None:
    workload = workload_of([(6.0, 900.0)] * 3, horizon=300, wait=30)
    scaler = Ours()
    pods = scaler.pods(workload, start_seconds=5)
    cluster = Cluster(workload, pods, seed=seed, replicas=10)
    scaler.attach(cluster, Zero())
    cluster.run()
    assert [len(pod.running) for pod in cluster.active] == [1, 1, 1]
    assert cluster.pods == cluster.active


def test_ours_gives_every_task_the_time_that_it_may_take() -> None:
    workload = workload_of([(0.0, 1.0)])
    assert Ours().grace(workload) > workload.max_task_seconds


def test_what_arrives_while_the_exporter_is_blind_is_not_counted() -> None:
    tasks = [(30.0, 1.0)] + [(60.0, 1.0)] * 500
    workload = replace(workload_of(tasks, horizon=90), blind_seconds=(50, 70))
    scaler = Ours()
    cluster = Cluster(workload, scaler.pods(workload, start_seconds=5), seed=1)
    scaler.attach(cluster, Zero())
    cluster.run()
    assert scaler.exporter.arrivals.peak_per_second == 1 / 5
