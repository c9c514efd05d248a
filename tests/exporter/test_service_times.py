"""`ServiceTimes`: how long tasks take, in bounded memory."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.policy import ServiceTimes
from celery_exporter.policy.service import MEMORY_TASKS, MINIMUM_TASKS

#: An example may take its time on a machine that has much to do.
patient = settings(deadline=None)
durations = st.floats(min_value=0, max_value=100_000)


def test_a_few_tasks_say_nothing_yet() -> None:
    service = ServiceTimes()
    for number in range(MINIMUM_TASKS):
        assert not service.known, number
        service.add(1)
    assert service.known


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="ask `known` before"):
        ServiceTimes().mean_within(10)


@patient
@given(st.lists(durations, min_size=1, max_size=50), st.floats(min_value=0.01, max_value=1e6))
def test_the_mean_is_that_of_the_durations_cut_at_the_horizon(
    seconds: list[float], horizon: float
) -> None:
    """A bucket is cut as a whole, which is off by half an octave where the horizon is in it."""
    service = ServiceTimes()
    for duration in seconds:
        service.add(duration)
    exact = sum(min(duration, horizon) for duration in seconds) / len(seconds)
    assert exact * (1 - 1e-9) <= service.mean_within(horizon) <= exact * math.sqrt(2) + 0.001
    assert service.mean_within(1e9) == pytest.approx(sum(seconds) / len(seconds))


def test_another_kind_of_task_shows_after_as_many_as_are_remembered() -> None:
    service = ServiceTimes()
    for duration in [100.0] * 100 * MEMORY_TASKS + [1.0] * 4 * MEMORY_TASKS:
        service.add(duration)
    assert service.mean_within(1000) < 2


@pytest.mark.parametrize("nonsense", [-1.0, math.nan, math.inf])
def test_what_cannot_be_a_duration_is_passed_over(nonsense: float) -> None:
    service = ServiceTimes()
    for _ in range(MINIMUM_TASKS):
        service.add(nonsense)
    assert not service.known
