"""What is flat, and what is not."""

import pytest

from tests.soak.trend import trend

MINUTES = list(range(61))


def test_a_leak_has_a_slope_however_the_figure_swings() -> None:
    leak = [100 + 0.1 * minute + (5 if minute % 2 else -5) for minute in MINUTES]
    found = trend(MINUTES, leak)
    assert found.per_hour == found.growth == pytest.approx(6, abs=0.5)
    assert not found.flat(share=0.05, least=2)


def test_what_swings_about_a_mean_or_falls_is_flat() -> None:
    assert trend(MINUTES, [100 + (5 if m % 2 else -5) for m in MINUTES]).flat(share=0.02, least=1)
    assert trend(MINUTES, [100 - m for m in MINUTES]).flat(share=0.0, least=0)
