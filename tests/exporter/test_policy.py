"""`decide`: what holds for every group and whatever was seen."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.policy import Group, Observation, ServiceTimes, decide, metric_value
from celery_exporter.policy.decision import LONG_TASK_SECONDS, SCALE_IN_MARGIN


def service_of(*seconds: float, times: int = 10) -> ServiceTimes:
    service = ServiceTimes()
    for duration in seconds * times:
        service.add(duration)
    return service


def group_of(**changes: Any) -> Group:  # noqa: ANN401 # fields of any type
    usual: dict[str, Any] = {
        "min_replicas": 0,
        "max_replicas": 20,
        "slots_per_replica": 4,
        "queue_wait_seconds": 30.0,
        "pod_start_seconds": 5.0,
        "max_task_seconds": 300.0,
    }
    return Group(**{**usual, **changes})


def seen(**changes: Any) -> Observation:  # noqa: ANN401 # fields of any type
    nothing: dict[str, Any] = {
        "replicas": 0,
        "ready_replicas": 0,
        "backlog": 0,
        "oldest_wait_seconds": 0.0,
        "running": 0,
        "long_running": 0,
        "held_replicas": 0,
        "arrivals_per_second": 0.0,
        "peak_arrivals_per_second": 0.0,
        "service": service_of(1.0),
    }
    return Observation(**{**nothing, **changes})


#: An example may take its time on a machine that has much to do.
patient = settings(deadline=None)
seconds = st.floats(min_value=0.01, max_value=100_000)
unknowns = st.sampled_from(["backlog", "running", "arrivals"])
rates = st.floats(min_value=0, max_value=10_000)
services = st.lists(seconds, max_size=30).map(lambda many: service_of(*many, times=1))


@st.composite
def groups(draw: st.DrawFn) -> Group:
    minimum = draw(st.integers(0, 10))
    return group_of(
        min_replicas=minimum,
        max_replicas=draw(st.integers(max(minimum, 1), 200)),
        slots_per_replica=draw(st.integers(1, 100)),
        queue_wait_seconds=draw(seconds),
        pod_start_seconds=draw(st.floats(min_value=0, max_value=600)),
        max_task_seconds=draw(seconds),
    )


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    replicas = draw(st.integers(0, 200))
    running = draw(st.integers(0, 2000))
    long_running = draw(st.integers(0, running))
    return seen(
        replicas=replicas,
        ready_replicas=draw(st.integers(0, replicas)),
        backlog=draw(st.integers(0, 1_000_000)),
        oldest_wait_seconds=draw(st.none() | st.floats(min_value=0, max_value=1e6)),
        running=running,
        long_running=long_running,
        held_replicas=draw(st.integers(0, min(long_running, replicas))),
        arrivals_per_second=draw(rates),
        peak_arrivals_per_second=draw(st.none() | rates),
        service=draw(services),
    )


@patient
@given(groups(), observations())
def test_replicas_are_within_minimum_and_maximum_and_have_a_reason(
    group: Group, observation: Observation
) -> None:
    decision = decide(group, observation)
    assert group.min_replicas <= decision.replicas <= group.max_replicas
    assert decision.reason.isalpha()
    assert decision.sentence.endswith(".")


@patient
@given(groups(), observations())
def test_there_are_never_fewer_slots_than_running_tasks_nor_pods_than_hold_long_ones(
    group: Group, observation: Observation
) -> None:
    replicas = decide(group, observation).replicas
    running = math.ceil((observation.running or 0) / group.slots_per_replica)
    assert replicas >= min(max(running, observation.held_replicas), group.max_replicas)


@patient
@given(groups(), observations(), st.integers(0, 1_000_000))
def test_more_backlog_never_means_fewer_replicas(
    group: Group, observation: Observation, more: int
) -> None:
    bigger = dataclasses.replace(observation, backlog=(observation.backlog or 0) + more)
    assert decide(group, bigger).replicas >= decide(group, observation).replicas


@patient
@given(
    groups(),
    observations(),
    st.sets(st.sampled_from(["backlog", "running", "arrivals"]), min_size=1),
)
def test_what_is_unknown_never_scales_in(
    group: Group, observation: Observation, missing: set[str]
) -> None:
    blind = dataclasses.replace(
        observation,
        backlog=None if "backlog" in missing else observation.backlog,
        running=None if "running" in missing else observation.running,
        arrivals_per_second=None if "arrivals" in missing else observation.arrivals_per_second,
    )
    assert decide(group, blind).replicas >= min(observation.replicas, group.max_replicas)


def test_nothing_known_leaves_everything_as_it_is_and_says_what_is_missing() -> None:
    blind = seen(replicas=7, backlog=None, running=None, arrivals_per_second=None)
    decision = decide(group_of(), blind)
    assert (decision.replicas, decision.reason) == (7, "unknown")
    assert decision.sentence == (
        "Unknown: backlog, running tasks, arrival rate. Nothing is scaled in until it is known."
    )


def test_a_known_backlog_scales_out_even_if_the_rate_is_unknown() -> None:
    assert (
        decide(group_of(), seen(replicas=2, backlog=9000, arrivals_per_second=None)).replicas == 20
    )


@patient
@given(groups(), st.floats(min_value=0.1, max_value=1000), st.data())
def test_a_steady_load_is_answered_alike_however_its_estimates_vary_within_the_margin(
    group: Group, rate: float, data: st.DataObject
) -> None:
    noise = st.floats(min_value=1, max_value=1 + SCALE_IN_MARGIN * 0.99)
    replicas, directions = 0, []
    for factor in data.draw(st.lists(noise, min_size=5, max_size=20)):
        load = {"arrivals_per_second": rate * factor, "peak_arrivals_per_second": rate}
        observation = seen(replicas=replicas, ready_replicas=replicas, running=1, **load)
        wanted = decide(group, observation).replicas
        directions.append(wanted - replicas)
        replicas = wanted
    assert min(directions) >= 0


def test_the_first_message_wakes_a_group_that_sleeps_even_if_nothing_else_is_known() -> None:
    first = seen(backlog=1, arrivals_per_second=None, running=None, service=ServiceTimes())
    assert decide(group_of(), first).replicas == 1


def test_nothing_to_do_and_nothing_due_is_no_replica() -> None:
    decision = decide(group_of(), seen(replicas=3, arrivals_per_second=1 / 60))
    assert (decision.replicas, decision.reason) == (0, "idle")


def test_a_pod_is_kept_if_the_next_task_comes_sooner_than_another_would_start() -> None:
    assert decide(group_of(), seen(replicas=1, arrivals_per_second=0.5)).replicas == 1


def test_a_group_that_sleeps_is_not_woken_by_a_rate_without_a_message() -> None:
    assert decide(group_of(), seen(arrivals_per_second=0.5)).replicas == 0
    assert decide(group_of(), seen(arrivals_per_second=0.5, backlog=1)).replicas == 1


def test_a_promise_shorter_than_a_start_keeps_a_pod_while_bursts_are_remembered() -> None:
    short = group_of(queue_wait_seconds=3.0)
    assert decide(short, seen(replicas=1, peak_arrivals_per_second=0.2)).replicas == 1
    assert decide(short, seen(replicas=1)).replicas == 0


@pytest.mark.parametrize(("waited", "replicas"), [(0.0, 13), (10.0, 25), (None, 41)])
def test_a_burst_gets_at_once_what_starts_all_of_it_within_the_promise(
    waited: float | None, replicas: int
) -> None:
    """1,000 tasks of a second: a slot starts one, and another each second until 24 s are over."""
    burst = seen(replicas=1, ready_replicas=1, backlog=1000, oldest_wait_seconds=waited)
    assert decide(group_of(max_replicas=1000), burst).replicas == replicas


def test_slots_that_are_ready_need_no_start_and_others_have_less_time() -> None:
    """24 s are planned with: a ready slot starts 25 tasks of a second, another one 20."""
    backlog = 300
    assert decide(group_of(), seen(replicas=3, ready_replicas=3, backlog=backlog)).replicas == 3
    assert decide(group_of(), seen(replicas=3, ready_replicas=0, backlog=backlog)).replicas == 4
    assert decide(group_of(), seen(replicas=1, ready_replicas=1, backlog=4 * 25)).replicas == 1
    assert decide(group_of(), seen(replicas=1, ready_replicas=1, backlog=4 * 45)).replicas == 2
    assert decide(group_of(), seen(replicas=1, ready_replicas=1, backlog=4 * 45 + 1)).replicas == 3


def test_a_part_of_a_pod_is_not_rounded_up_where_the_promise_has_time_for_a_backlog() -> None:
    """Thirteen busy slots: three pods and a wait that grows for a while, or four at once."""
    load = seen(running=12, replicas=3, ready_replicas=3, arrivals_per_second=13.0)
    assert decide(group_of(queue_wait_seconds=30.0), load).replicas == 3
    assert decide(group_of(queue_wait_seconds=20.0), load).replicas == 4


def test_a_broken_promise_asks_for_no_more_than_pods_that_have_time_to_start() -> None:
    late = seen(backlog=100, oldest_wait_seconds=500.0, service=service_of(1.0))
    assert decide(group_of(max_replicas=1000), late).replicas == math.ceil(100 / 6 / 4)


def test_bursts_that_cannot_wait_for_new_pods_find_them() -> None:
    """21 s until pods come, 10 s may be waited: 11 of 21 parts of the burst cannot wait."""
    load = seen(replicas=1, arrivals_per_second=1.0, peak_arrivals_per_second=42.0)
    decision = decide(group_of(queue_wait_seconds=10.0), load)
    assert (decision.replicas, decision.reason) == (math.ceil(42 * 11 / 21 / 4), "burst")


def test_bursts_that_can_wait_for_new_pods_are_not_waited_for() -> None:
    load = seen(replicas=1, arrivals_per_second=1.0, peak_arrivals_per_second=42.0)
    assert decide(group_of(), load).replicas == 1


def test_one_long_task_in_twenty_does_not_collapse_the_estimate() -> None:
    tail = service_of(*[1.0] * 19, 1000.0)
    assert 1 <= tail.mean_within(LONG_TASK_SECONDS) <= 2
    load = seen(replicas=3, ready_replicas=3, arrivals_per_second=4.0, service=tail)
    plain = dataclasses.replace(load, service=service_of(1.0))
    assert decide(group_of(), plain).replicas <= decide(group_of(), load).replicas <= 3


def test_long_tasks_that_run_take_their_slots_beside_what_arrives() -> None:
    load = seen(
        replicas=9, ready_replicas=9, running=32, long_running=32, held_replicas=8, backlog=1
    )
    assert decide(group_of(), load).replicas == 9


def test_a_service_time_that_nobody_knows_counts_as_long_as_may_be_waited() -> None:
    unknown = seen(backlog=40, service=ServiceTimes())
    assert decide(group_of(queue_wait_seconds=20.0), unknown).replicas == math.ceil(40 / 2 / 4)


def test_the_maximum_is_named_with_what_would_be_needed() -> None:
    decision = decide(group_of(max_replicas=2), seen(backlog=10_000))
    assert decision.reason == "maximum"
    assert decision.sentence.endswith(" would be needed.")


def test_the_minimum_is_named() -> None:
    decision = decide(group_of(min_replicas=2), seen())
    assert (decision.replicas, decision.reason) == (2, "minimum")


@patient
@given(st.integers(0, 500), st.integers(1, 500))
def test_an_hpa_hears_every_scale_out_and_no_scale_in_that_was_not_decided(
    desired: int, replicas: int
) -> None:
    told = metric_value(desired, replicas=replicas)
    if desired > replicas:
        assert told / replicas > 1.1
        assert told <= max(desired, math.floor(replicas * 1.1) + 1)
    else:
        assert told == desired
