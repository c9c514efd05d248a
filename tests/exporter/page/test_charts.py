"""The hour as outlines, and numbers in words."""

import pytest

from celery_exporter.page import words
from celery_exporter.page.charts import HEIGHT, MARGIN, WIDTH, Point, chart

NOW = 60 * 60 * 1000.0 + 59
BOTTOM, TOP = HEIGHT - MARGIN, MARGIN


def minute(ago: int) -> float:
    return NOW - ago * 60


def test_what_was_not_known_is_a_gap_and_no_zero() -> None:
    points: list[Point] = [(minute(4), 8), (minute(3), None), (minute(2), 8)]
    drawn = chart(points, now=NOW)
    assert drawn.line == f"M165 {TOP}H168M171 {TOP}H174"
    assert drawn.unknown_minutes == 58
    assert drawn.area.count("Z") == 2
    assert f" {BOTTOM}" not in drawn.line


def test_a_zero_is_drawn_at_the_bottom_and_what_stays_is_one_line() -> None:
    drawn = chart([(minute(ago), 0) for ago in range(59, -1, -1)], now=NOW)
    assert drawn.line == f"M0 {BOTTOM}H{WIDTH}"
    assert (drawn.peak, drawn.unknown_minutes) == (0, 0)


def test_a_minute_shows_the_highest_that_was_seen_in_it() -> None:
    drawn = chart(
        [(minute(0) - 50, 8), (minute(0) - 40, 16), (minute(0) - 20, 8), (minute(0), None)], now=NOW
    )
    assert drawn.peak == 16
    assert drawn.line == f"M177 {TOP}H180"


def test_nothing_known_is_nothing_drawn() -> None:
    drawn = chart([(minute(1), None)], now=NOW)
    assert (drawn.line, drawn.area, drawn.peak) == ("", "", None)


def test_what_is_older_than_an_hour_or_not_yet_is_left_out() -> None:
    assert chart([(minute(60), 5), (minute(-1), 7)], now=NOW).peak is None


def test_a_limit_shares_the_scale_even_where_it_is_higher_than_everything() -> None:
    drawn = chart([(minute(0), 16)], now=NOW, limit=32)
    assert drawn.beside == f"M0 {TOP}H{WIDTH}"
    assert drawn.line == f"M177 {(TOP + BOTTOM) // 2}H180"


def test_a_second_value_is_drawn_on_the_same_scale() -> None:
    drawn = chart([(minute(0), 4)], beside=[(minute(0), 8)], now=NOW)
    assert drawn.beside == f"M177 {TOP}H180"
    assert drawn.peak == 4


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (0.04, "0.0 s"),
        (4.21, "4.2 s"),
        (5, "5 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7500.4, "2 h 5 min"),
        (3 * 86_400 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_how_long_ago_has_one_unit() -> None:
    assert words.ago(1000, now=1000.2) == "now"
    assert words.ago(1000, now=1000 + 3 * 60 + 20) == "3 min ago"
    # Clocks differ.
    assert words.ago(1001, now=1000) == "now"


def test_a_moment_is_told_in_utc() -> None:
    assert words.clock(1_795_271_525) == "2026-11-21 14:32:05 UTC"
    assert words.machine(1_795_271_525) == "2026-11-21T14:32:05Z"
    assert words.count(1_234_567) == "1,234,567"
