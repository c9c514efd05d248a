"""How long the head of a queue has waited, inferred."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.scaling.heads import MOST_SAMPLES, HeadAge

#: For each second: how many messages come in it, and how many are taken at its end.
seconds = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=200)


@settings(deadline=None)
@given(seconds)
def test_the_age_is_right_to_the_second_where_what_is_first_in_is_first_out(
    steps: list[tuple[int, int]],
) -> None:
    heads, queue, taken = HeadAge(), deque[float](), 0
    heads.of(ready=0, taken=0, now=0.0)
    for now, (arriving, leaving) in enumerate(steps, start=1):
        queue.extend(now - 1 + number / arriving for number in range(arriving))
        for _ in range(min(leaving, len(queue))):
            queue.popleft()
            taken += 1
        age = heads.of(ready=len(queue), taken=taken, now=float(now))
        true = now - queue[0] if queue else 0.0
        assert abs(age - true) <= 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 100))))
def test_it_is_never_negative_whatever_is_counted(steps: list[tuple[int, int, float]]) -> None:
    heads, taken, now = HeadAge(), 0, 0.0
    for ready, more, passed in steps:
        taken, now = taken + more, now + passed
        age = heads.of(ready=ready, taken=taken, now=now)
        assert 0 <= age <= now
        assert ready or age == 0


def test_what_was_there_when_the_watch_began_has_waited_since_then_at_least() -> None:
    heads = HeadAge()
    assert heads.of(ready=9, taken=0, now=100.0) == 0
    assert heads.of(ready=9, taken=0, now=130.0) == 30


def test_a_purge_leaves_no_age_behind() -> None:
    heads = HeadAge()
    heads.of(ready=0, taken=0, now=0.0)
    heads.of(ready=1000, taken=0, now=1.0)
    assert heads.of(ready=0, taken=0, now=50.0) == 0
    assert heads.of(ready=3, taken=0, now=51.0) <= 1


def test_a_worker_that_tells_late_what_it_took_makes_no_message_younger() -> None:
    heads = HeadAge()
    heads.of(ready=0, taken=0, now=0.0)
    for second in range(1, 31):
        # Ten come each second; five are taken, of which the worker tells a second later.
        heads.of(ready=5 * second, taken=5 * (second - 1), now=float(second))
    assert 14 <= heads.of(ready=155, taken=150, now=31.0) <= 17


def test_memory_is_bounded_while_nothing_is_taken_for_a_day() -> None:
    heads = HeadAge()
    for second in range(3 * MOST_SAMPLES):
        heads.of(ready=second, taken=0, now=float(second))
    assert len(heads._samples) <= MOST_SAMPLES
    age = heads.of(ready=1, taken=3 * MOST_SAMPLES - 2, now=3.0 * MOST_SAMPLES)
    assert 0 <= age <= 3
