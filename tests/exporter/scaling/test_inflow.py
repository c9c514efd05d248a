"""What came into a queue."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from celery_exporter.readings import Pod
from celery_exporter.scaling.inflow import OUTAGE_SECONDS, Counts, Fetched, Inflows
from tests.exporter.worlds import pod, work


def counted(*positions: int, every_seconds: float = 1.0) -> list[int]:
    """What is counted of a queue whose position is looked at so often."""
    inflows = Inflows()
    found: list[int] = []
    for number, position in enumerate(positions):
        counts = inflows.count({"email": position}, number * every_seconds)
        found += [counts.by_queue["email"]] * counts.steps if counts else []
    return found


def taken(*reads: list[Pod], every_seconds: float = 1.0) -> Mapping[str, int]:
    fetched = Fetched()
    for number, pods in enumerate(reads):
        fetched.add(pods, number * every_seconds)
    return fetched.totals


def test_what_comes_is_counted_every_five_seconds() -> None:
    assert counted(*range(7, 18)) == [5, 5]


@given(st.lists(st.integers(-1000, 1000), max_size=60))
def test_no_count_is_negative_whatever_the_positions(positions: list[int]) -> None:
    assert all(count >= 0 for count in counted(*positions))


@given(st.lists(st.integers(0, 100), min_size=5, max_size=60))
def test_all_that_comes_is_counted(arrivals: list[int]) -> None:
    positions = [sum(arrivals[:number]) for number in range(len(arrivals))]
    last = (len(positions) - 1) // 5 * 5
    assert sum(counted(*positions)) == positions[last] - positions[0]


def test_the_jump_after_an_outage_is_no_arrival_and_the_next_count_begins_there() -> None:
    inflows = Inflows()
    assert inflows.count({"email": 0}, 0.0) is None
    assert inflows.count({"email": 5000}, OUTAGE_SECONDS + 0.1) is None
    assert inflows.count({"email": 5010}, OUTAGE_SECONDS + 5.1) == Counts(
        by_queue={"email": 10}, steps=1
    )


def test_a_count_that_had_to_wait_is_the_mean_of_its_steps() -> None:
    inflows = Inflows()
    inflows.count({"email": 0}, 0.0)
    assert inflows.count({"email": 100}, OUTAGE_SECONDS) == Counts(by_queue={"email": 50}, steps=2)


def test_a_queue_that_was_unread_at_one_end_is_not_counted() -> None:
    inflows = Inflows()
    inflows.count({"email": 0}, 0.0)
    counts = inflows.count({"email": 1, "bulk": 900}, 5.0)
    assert counts is not None
    assert counts.by_queue == {"email": 1}


def test_what_workers_took_before_the_watch_began_is_not_counted() -> None:
    assert taken([pod(does=work(fetched=900))], [pod(does=work(fetched=907))]) == {"email": 7}


def test_all_that_a_new_pod_has_taken_is_counted() -> None:
    reads = [[pod("old", does=work())], [pod("old", does=work()), pod("new", does=work(fetched=3))]]
    assert taken(*reads) == {"email": 3}


def test_a_pod_that_takes_a_minute_to_start_is_counted_from_its_first_task() -> None:
    starting = [pod(ready=False, start_seconds=None)]
    assert taken([], *[starting] * 60, [pod(does=work(fetched=4))]) == {"email": 4}


def test_a_pod_that_was_there_before_the_watch_and_is_not_ready_has_no_past() -> None:
    starting = [pod(ready=False, start_seconds=None)]
    assert taken(starting, starting, [pod(does=work(fetched=4))]) == {}


def test_a_reading_that_took_long_because_there_are_many_pods_is_no_silence() -> None:
    reads = [[pod(does=work(fetched=count))] for count in (5, 9, 16)]
    assert taken(*reads, every_seconds=12.0) == {"email": 11}


def test_a_container_that_starts_again_counts_from_zero() -> None:
    assert taken([pod(does=work(fetched=50))], [pod(does=work(fetched=2))]) == {"email": 2}


def test_a_pod_that_is_silent_for_a_moment_adds_it_later_and_after_an_outage_not_at_all() -> None:
    told, silent = [pod(does=work(fetched=5))], [pod()]
    later = [pod(does=work(fetched=9))]
    assert taken(told, silent, later) == {"email": 4}
    assert taken(told, *[silent] * 11, later) == {}


def test_a_pod_that_never_answered_since_the_watch_began_has_no_past() -> None:
    assert taken([pod()], [pod(does=work(fetched=800))]) == {}


def test_a_count_waits_for_a_pod_that_is_silent_for_a_moment_and_for_no_longer() -> None:
    fetched = Fetched()
    fetched.add([pod(does=work())], 0.0)
    assert fetched.complete([pod(does=work())], 0.0)
    assert not fetched.complete([pod()], OUTAGE_SECONDS)
    assert fetched.complete([pod()], OUTAGE_SECONDS + 1)


def test_pods_that_are_gone_are_forgotten() -> None:
    fetched = Fetched()
    for number in range(1000):
        fetched.add([pod(f"io-{number}", does=work(fetched=1))], float(number))
    assert len(fetched._told) == 1
    assert fetched.totals == {"email": 999}
