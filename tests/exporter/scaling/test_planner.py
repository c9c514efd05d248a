"""What is planned, from what is read every second."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.readings import Ended, Pod, Work
from celery_exporter.scaling import observing
from celery_exporter.scaling.roll import LONGEST_START_SECONDS, UNKNOWN_START_SECONDS, Roll
from tests.exporter.worlds import World, group, pod, reading, work

#: More than arrivals need to be known, or a source to be away.
LONG = 15


def idle(count: int) -> list[Pod]:
    return [pod(f"idle-{number}", does=work()) for number in range(count)]


def test_a_group_asleep_is_woken_by_a_message_before_anything_else_is_known() -> None:
    world = World()
    world.tick()
    assert world.desired() == 0
    world.ready = {"email": 1}
    world.tick()
    assert world.desired() == 1


def test_a_group_that_has_nothing_to_do_sleeps_once_that_is_known() -> None:
    world = World()
    world.pods = idle(7)
    world.tick()
    # The rate of arrivals is not known yet.
    assert world.desired() == 7
    world.tick(times=LONG)
    assert world.desired() == 0


def test_busy_pods_are_a_floor() -> None:
    world = World()
    world.pods = [pod(f"io-{number}", does=work(600.0)) for number in range(3)] + idle(4)
    world.tick(times=LONG)
    assert world.desired() == 3


def test_pods_that_are_being_stopped_are_not_counted_nor_what_they_run() -> None:
    world = World()
    world.pods = [pod("io-1", does=work(600.0), stopping=True)]
    world.tick(times=LONG)
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    assert (plan.seen.replicas, plan.seen.running, plan.seen.long_running) == (0, 0, 0)


def test_a_pod_that_is_not_ready_yet_runs_nothing() -> None:
    world = World()
    world.pods = [pod(ready=False, start_seconds=None)]
    world.tick()
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    assert (plan.seen.replicas, plan.seen.ready_replicas, plan.seen.running) == (1, 0, 0)


def test_a_pod_that_falls_silent_runs_what_it_last_said_and_after_a_while_who_knows() -> None:
    world = World()
    world.pods = [pod("io-1", does=work(12.0)), *idle(1)]
    world.tick(times=LONG)
    assert world.desired() == 1
    world.pods = [pod("io-1"), *idle(1)]
    world.tick(times=4)
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    # 12 s and 4 s more: it has become a long one.
    assert (plan.seen.running, plan.seen.held_replicas) == (1, 1)
    world.tick()
    assert world.desired() == 2
    assert world.board.view.plans["io"].frozen


def test_a_group_that_was_woken_does_not_sleep_before_its_pods_were_read_again() -> None:
    world = World()
    world.tick(times=LONG)
    world.ready = {"email": 1}
    world.tick()
    assert world.desired() == 1
    # The pod has started and taken the message, and the pods are read only now and then.
    for _ in range(20):
        world.clock.now += 1
        world.board.take_broker(reading(email=0), {})
        assert world.desired() == 1
    world.pods = [pod(does=work(20.0))]
    world.ready = {"email": 0}
    world.tick()
    assert world.desired() == 1
    world.pods = [pod(does=work())]
    world.tick(times=LONG)
    assert world.desired() == 0


def test_while_a_group_grows_kubernetes_going_away_takes_nothing_back() -> None:
    world = World()
    world.pods = [pod("io-1", does=work(1.0))]
    world.tick(times=LONG)
    world.ready = {"email": 400}
    world.tick()
    grown = world.desired()
    assert grown is not None
    assert grown > 1
    world.pods, world.ready = None, {"email": 0}
    for _ in range(10):
        world.tick()
        assert world.desired() in (grown, None)
    assert world.desired() is None


def test_what_idle_pods_run_is_not_known_from_the_moment_that_kubernetes_is_away() -> None:
    world = World()
    world.pods = idle(7)
    world.tick(times=LONG)
    assert world.desired() == 0
    world.pods = None
    world.tick()
    assert world.desired() == 7


@pytest.mark.parametrize("source", ["ready", "pods"])
def test_nothing_is_scaled_in_while_a_source_is_away(source: str) -> None:
    world = World()
    world.pods = idle(7)
    world.tick()
    setattr(world, source, None)
    for _ in range(60):
        world.tick()
        assert world.desired() in (7, None)


def test_after_an_outage_the_jump_is_no_arrival() -> None:
    world = World()
    world.pods = idle(1)
    world.tick(times=20)
    world.ready = None
    world.tick(times=12)
    world.ready = {"email": 5000}
    world.tick(times=6)
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    assert plan.seen.backlog == 5000
    assert plan.seen.peak_arrivals_per_second == 0


def test_what_arrives_is_what_waits_more_and_what_was_taken() -> None:
    world = World()
    world.tick()
    for second in range(1, 62):
        world.pods = [pod(does=work(fetched=3 * second))]
        world.ready = {"email": 2 * second}
        world.tick()
    assert world.board.view.arrivals_per_second["email"] == pytest.approx(5, rel=0.05)
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    assert plan.seen.arrivals_per_second == pytest.approx(5, rel=0.05)


def test_the_head_is_as_old_as_what_was_taken_tells() -> None:
    world = World()
    world.pods = [pod(does=work())]
    world.tick()
    world.ready = {"email": 4}
    world.tick()
    world.tick(times=20)
    assert world.board.view.oldest_seconds["email"] == pytest.approx(21, abs=1)


def test_tasks_that_have_ended_tell_how_long_tasks_take() -> None:
    world = World()
    done = Ended(name="shop.send", queue="email", runtime_seconds=2.0, wait_seconds=None)
    told = Work(slots=4, draining=False, running=(), fetched={}, ended=[done] * 5)
    world.pods = [pod(does=told)]
    world.tick()
    plan = world.board.plan("io")
    assert plan is not None
    assert plan.seen is not None
    assert plan.seen.service.mean_within(100) == pytest.approx(2.0)


def test_each_start_of_a_pod_counts_once_and_the_median_counts() -> None:
    roll = Roll()
    assert roll.start_seconds("io") == UNKNOWN_START_SECONDS
    old = pod("io-1", start_seconds=3.0)
    for now in range(10):
        roll.take([old], float(now))
    assert roll.start_seconds("io") == 3
    roll.take([old, *(pod(f"io-{each}", start_seconds=90.0) for each in (2, 3))], 10.0)
    assert roll.start_seconds("io") == 90
    assert roll.start_seconds("other") == UNKNOWN_START_SECONDS


def test_pods_that_waited_for_a_broker_tell_of_no_pod_that_starts_that_slowly() -> None:
    roll = Roll()
    roll.take([pod(f"io-{each}", start_seconds=3600.0) for each in range(3)], 0.0)
    assert roll.start_seconds("io") == LONGEST_START_SECONDS


def test_a_shared_queue_counts_for_each_group_as_it_could_have_slots() -> None:
    world = World(
        group("small", "email", slots=1, maximum=10), group("big", "email", slots=3, maximum=10)
    )
    world.ready = {"email": 400}
    world.tick()
    plans = world.board.view.plans
    assert (plans["small"].backlog, plans["big"].backlog) == (100, 300)


def test_a_group_that_is_not_scaled_takes_part_with_the_pods_that_it_has() -> None:
    fixed = group("fixed", "email", slots=4, scaled=False)
    world = World(fixed, group("io", "email", slots=4, maximum=2))
    world.ready = {"email": 90}
    world.pods = [pod("fixed-1", of="fixed", does=work())]
    world.tick()
    assert world.board.view.plans["io"].backlog == 60
    assert world.board.view.plans["fixed"].decision is None


def test_what_a_canary_runs_neither_holds_pods_of_its_group_nor_is_missing_there() -> None:
    canary = group("io-canary", "email", slots=4, scaled=False)
    world = World(group("io", "email", slots=4, maximum=20), canary)
    busy = pod("io-canary-1", of="io-canary", does=work(600.0, 600.0))
    world.pods = [busy, pod("io-1", does=work(600.0)), *idle(3)]
    world.tick(times=LONG)
    plan = world.board.view.plans["io"]
    assert plan.seen is not None
    assert (plan.seen.replicas, plan.seen.running) == (4, 1)
    assert world.desired() == 1


@given(st.integers(0, 1_000_000), st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100))))
def test_no_message_of_a_shared_queue_is_lost(messages: int, sizes: list[tuple[int, int]]) -> None:
    groups = [
        group(str(number), "email", slots=slots, maximum=maximum)
        for number, (slots, maximum) in enumerate(sizes)
    ]
    parts = observing.shares("email", groups, {})
    assert math.isclose(sum(parts.values()), 1 if groups else 0)
    backlogs = [observing.part(messages, share) for share in parts.values()]
    assert messages <= sum(backlogs) <= messages + len(groups) if groups else not backlogs


def test_a_queue_that_nobody_has_declared_is_unknown_and_not_empty() -> None:
    world = World(group("io", "email", "bulk"))
    world.pods = idle(5)
    world.ready = {"email": 0}
    world.tick(times=LONG)
    assert world.desired() == 5


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 300),
            st.none() | st.lists(st.none() | st.integers(0, 4), max_size=8),
        ),
        max_size=40,
    )
)
def test_whatever_is_read_and_not_read_no_busy_pod_is_too_many(
    moments: list[tuple[int | None, list[int | None] | None]],
) -> None:
    world = World()
    for ready, running in moments:
        world.ready = None if ready is None else {"email": ready}
        world.pods = None if running is None else pods_that_run(running)
        world.tick()
        plan = world.board.plan("io")
        if plan is None or plan.seen is None or plan.decision is None:
            continue
        seen, desired = plan.seen, plan.decision.replicas
        if seen.backlog is None or seen.running is None or seen.arrivals_per_second is None:
            assert desired >= min(seen.replicas, 20)
        else:
            assert desired >= min(math.ceil(seen.running / 4), 20)
        assert (seen.arrivals_per_second or 0) >= 0


def pods_that_run(counts: list[int | None]) -> list[Pod]:
    return [
        pod(f"io-{number}", does=None if count is None else work(*[1.0] * count))
        for number, count in enumerate(counts)
    ]
