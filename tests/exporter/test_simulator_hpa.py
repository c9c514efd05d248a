"""The HPA's rules in the simulator, by cases worked out from Kubernetes' source."""

import pytest

from tests.benchmarks.autoscaling import hpa
from tests.benchmarks.autoscaling.hpa import Behavior, Hpa, Policy


def course(controller: Hpa, *recommended: int, start: int, period: float = 15) -> list[int]:
    """The replicas after each sync."""
    replicas, after = start, []
    for number, wanted in enumerate(recommended):
        replicas = controller.replicas(now=number * period, current=replicas, recommended=wanted)
        after.append(replicas)
    return after


@pytest.mark.parametrize(
    ("total", "replicas", "expected"),
    [(100, 1, 5), (101, 1, 6), (0, 3, 0), (44, 2, 2), (45, 2, 3), (36, 2, 2), (35, 2, 2)],
)
def test_an_average_value_is_the_sum_over_the_target_outside_the_tolerance(
    total: float, replicas: int, expected: int
) -> None:
    assert hpa.average_value(total=total, target=20, replicas=replicas) == expected


def test_a_value_is_multiplied_by_the_ready_pods_those_that_drain_among_them() -> None:
    assert hpa.value(metric=60, target=30, replicas=2, ready=5) == 10
    assert hpa.value(metric=32, target=30, replicas=2, ready=5) == 2


def test_cpu_of_pods_that_are_not_ready_counts_as_nothing_on_scale_up_alone() -> None:
    assert hpa.utilization(used=[1.0, 1.0], unready=0, target=0.8, replicas=2) == 3
    assert hpa.utilization(used=[1.0, 1.0], unready=1, target=0.8, replicas=3) == 3
    assert hpa.utilization(used=[0.4, 0.4], unready=0, target=0.8, replicas=2) == 1
    assert hpa.utilization(used=[0.2, 0.2], unready=2, target=0.8, replicas=4) == 1
    assert hpa.utilization(used=[], unready=2, target=0.8, replicas=2) == 2


def test_without_behavior_replicas_double_or_become_four() -> None:
    controller = Hpa(minimum=1, maximum=20)
    assert course(controller, 50, 50, 50, 50, start=1) == [4, 8, 16, 20]
    assert course(Hpa(minimum=2, maximum=20), 50, 50, 50, 50, start=2) == [4, 8, 16, 20]


def test_with_the_default_behavior_four_or_as_many_again_are_added_each_period() -> None:
    controller = Hpa(minimum=1, maximum=20, behavior=Behavior())
    assert course(controller, 50, 50, 50, start=2) == [6, 12, 20]


def test_a_pods_policy_lets_any_size_be_reached_at_once() -> None:
    jump = Behavior(up=(Policy(value=20, period_seconds=15),))
    assert course(Hpa(minimum=1, maximum=20, behavior=jump), 18, start=1) == [18]


def test_what_was_added_within_the_period_counts_against_a_policy() -> None:
    slow = Behavior(up=(Policy(value=2, period_seconds=60),))
    controller = Hpa(minimum=1, maximum=20, behavior=slow)
    assert course(controller, 9, 9, 9, 9, 9, start=1) == [3, 3, 3, 3, 5]


@pytest.mark.parametrize("behavior", [None, Behavior()])
def test_replicas_fall_when_the_highest_recommendation_is_five_minutes_old(
    behavior: Behavior | None,
) -> None:
    controller = Hpa(minimum=1, maximum=20, behavior=behavior)
    after = course(controller, 8, *[2] * 25, start=8)
    assert after[:20] == [8] * 20
    assert after[20:22] == [2, 2]


def test_a_shorter_window_holds_for_the_syncs_that_are_younger() -> None:
    short = Behavior(down_window_seconds=30)
    controller = Hpa(minimum=1, maximum=20, behavior=short)
    assert course(controller, 8, 2, 2, 2, start=8) == [8, 8, 2, 2]


def test_minimum_and_maximum_are_kept() -> None:
    assert course(Hpa(minimum=2, maximum=4, behavior=Behavior()), 9, 9, start=1) == [2, 4]
    assert course(Hpa(minimum=2, maximum=4), 9, start=9) == [4]
