"""Workers that come, answer, go, and vanish."""

from typing import Any

import pytest

from celery_exporter.state.counting import State
from celery_exporter.state.workers import FORGOTTEN_AFTER_SECONDS, LOST_AFTER_SECONDS
from tests.exporter.state.celery_events import TASK, WORKER, Event, counted, event, life


@pytest.fixture
def state() -> State:
    return State(default_queue="default")


def heartbeat(worker: str = WORKER, **fields: Any) -> Event:  # noqa: ANN401
    return event("worker-heartbeat", hostname=worker, **fields)


def test_a_worker_is_up_while_it_is_heard_of(state: State) -> None:
    state.apply([heartbeat()], 100)
    worker = state.workers[WORKER]
    assert worker.up(100 + LOST_AFTER_SECONDS)
    assert not worker.up(101 + LOST_AFTER_SECONDS)


def test_a_worker_without_heartbeats_is_heard_of_by_its_tasks_and_its_answers(state: State) -> None:
    state.apply([event("task-received")], 10)
    assert state.workers[WORKER].up(11)
    state.answered(WORKER, concurrency=4, queues=["email"], now=500)
    assert state.workers[WORKER].up(501)
    assert (state.workers[WORKER].concurrency, state.workers[WORKER].queues) == (4, ("email",))


def test_a_worker_that_says_goodbye_is_down_and_its_last_tasks_still_run(state: State) -> None:
    state.apply([*life()[:3], event("worker-offline")], 1)
    assert not state.workers[WORKER].up(1)
    assert state.queues["email"].running == 1
    state.apply([event("task-succeeded")], 2)
    assert not state.workers[WORKER].up(2)
    assert state.queues["email"].running == 0


def test_what_a_lost_worker_ran_runs_no_more(state: State) -> None:
    state.apply(life()[:3], 0)
    state.apply([], LOST_AFTER_SECONDS)
    assert state.queues["email"].running == 1
    state.apply([], LOST_AFTER_SECONDS + 5)
    assert state.queues["email"].running == state.workers[WORKER].tasks_active() == 0


@pytest.mark.parametrize("silent_seconds", [LOST_AFTER_SECONDS + 5, FORGOTTEN_AFTER_SECONDS + 5])
def test_the_end_of_a_task_whose_worker_was_given_up_has_its_name(
    state: State, silent_seconds: float
) -> None:
    state.apply(life()[:3], 0)
    state.apply([], silent_seconds)
    state.apply([event("task-succeeded", runtime=600.0)], silent_seconds + 1)
    assert counted(state, name=TASK, host="pod-1", queue="email")["succeeded"] == 1
    assert (counted(state, name="None"), state.held) == ({}, 0)
    assert state.queues["email"].running == 0


def test_an_end_is_counted_for_the_worker_that_tells_of_it(state: State) -> None:
    state.apply([*life()[:3], event("task-revoked", hostname="io@pod-2")], 1)
    assert counted(state, host="pod-2") == {"revoked": 1}
    assert state.workers[WORKER].tasks_active() == 0


def test_silence_while_nobody_can_be_heard_loses_no_worker(state: State) -> None:
    state.apply(life()[:3], 0)
    for now in range(0, 1000, 50):
        state.unheard(now)
        state.apply([], now)
    assert state.workers[WORKER].up(1000)
    assert state.queues["email"].running == 1


def test_an_answer_from_before_the_goodbye_brings_nobody_back(state: State) -> None:
    state.apply([event("worker-offline")], 12)
    state.answered(WORKER, concurrency=4, queues=["email"], now=10)
    assert not state.workers[WORKER].up(13)
    state.answered(WORKER, concurrency=4, queues=["email"], now=40)
    assert state.workers[WORKER].up(41)


def test_an_answer_takes_no_later_sign_of_life_away(state: State) -> None:
    state.apply([heartbeat()], 100)
    state.answered(WORKER, concurrency=4, queues=["email"], now=97)
    assert state.workers[WORKER].seen_at == 100


def test_what_a_worker_did_not_say_this_time_stays_what_it_said(state: State) -> None:
    state.answered(WORKER, concurrency=4, queues=["email"], now=1)
    state.answered(WORKER, concurrency=None, queues=None, now=2)
    assert (state.workers[WORKER].concurrency, state.workers[WORKER].queues) == (4, ("email",))


def test_a_worker_that_has_vanished_is_forgotten_with_its_series_but_not_the_totals(
    state: State,
) -> None:
    state.apply([*life("a"), heartbeat("io@pod-2")], 0)
    state.apply([event("task-received", "b", hostname="io@pod-2")], FORGOTTEN_AFTER_SECONDS)
    state.apply([], FORGOTTEN_AFTER_SECONDS + 5)
    assert list(state.workers) == ["io@pod-2"]
    assert counted(state, host="pod-1") == {}
    assert counted(state, host="pod-2") == {"received": 1}
    assert state.totals[:4] == [1, 2, 1, 1]


def test_series_of_a_host_stay_while_another_worker_on_it_is_known(state: State) -> None:
    state.apply(life(), 0)
    state.apply([heartbeat("cpu@pod-1")], FORGOTTEN_AFTER_SECONDS)
    state.apply([], FORGOTTEN_AFTER_SECONDS + 5)
    assert list(state.workers) == ["cpu@pod-1"]
    assert counted(state, host="pod-1")["succeeded"] == 1


def test_a_worker_is_believed_at_its_second_word_that_it_runs_less(state: State) -> None:
    state.apply(life("a")[:3], 0)
    state.apply(life("b")[:3], 1)
    state.apply([heartbeat(active=1)], 2)
    assert state.queues["email"].running == 2
    state.apply([heartbeat(active=1)], 4)
    assert state.queues["email"].running == 1
    assert list(state.workers[WORKER].running) == ["b"]


def test_a_heartbeat_that_overtakes_events_takes_nothing_away(state: State) -> None:
    state.apply([*life("a")[:3], heartbeat(active=0), event("task-succeeded", "a")], 0)
    state.apply(life("b")[:3], 2)
    state.apply([heartbeat(active=1), heartbeat(active=0)], 3)
    assert state.queues["email"].running == 1
    assert counted(state, name="None") == {}


@pytest.mark.parametrize("active", [None, "3", -1, 2.5, True])
def test_a_heartbeat_with_a_broken_count_is_a_sign_of_life_and_no_more(
    state: State, active: object
) -> None:
    state.apply([heartbeat(active=active)], 1)
    assert state.workers[WORKER].active is None
    assert state.workers[WORKER].up(1)


@pytest.mark.parametrize("name", ["", "@", "a@b@c", 'ü\n"{}\\@h\x00', "no-at"])
def test_a_worker_may_have_any_name(state: State, name: str) -> None:
    state.apply([heartbeat(name), event("task-received", hostname=name)], 1)
    assert state.workers[name].up(1)
    assert state.totals[1] == 1
