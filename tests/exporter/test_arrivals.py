"""`Arrivals`: the rate and the peak that the policy asks for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.policy import Arrivals


def arrivals_of(*counts: int) -> Arrivals:
    arrivals = Arrivals()
    for count in counts:
        arrivals.add(count)
    return arrivals


def test_a_rate_is_unknown_until_there_is_more_than_one_count() -> None:
    assert arrivals_of().per_second is None
    assert arrivals_of().peak_per_second is None
    assert arrivals_of(5).per_second is None
    assert arrivals_of(5, 5).per_second == 1


def test_a_burst_is_a_peak_and_no_rate() -> None:
    arrivals = arrivals_of(*[10] * 11, 2000)
    assert arrivals.per_second == 2
    assert arrivals.peak_per_second == 400


def test_the_rate_is_that_of_the_last_minute_and_the_peak_of_the_last_ten() -> None:
    arrivals = arrivals_of(2000, *[10] * 12)
    assert arrivals.per_second == 2
    assert arrivals_of(2000, *[10] * 119).peak_per_second == 400
    assert arrivals_of(2000, *[10] * 120).peak_per_second == 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=200))
def test_the_rate_is_never_above_the_mean_nor_the_peak(counts: list[int]) -> None:
    arrivals = arrivals_of(*counts)
    recent = counts[-12:]
    assert arrivals.per_second is not None
    assert arrivals.per_second <= sum(recent) / len(recent) / 5 + 1e-9
    assert arrivals.peak_per_second == pytest.approx(max(counts[-120:]) / 5)
