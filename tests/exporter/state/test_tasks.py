"""What becomes of a task, also when its events are lost, doubled or late."""

from itertools import permutations

import pytest

from celery_exporter.state.counting import State
from celery_exporter.state.workers import FORGOTTEN_AFTER_SECONDS
from tests.exporter.state.celery_events import TASK, WORKER, counted, event, life


@pytest.fixture
def state() -> State:
    return State(default_queue="default")


def waits(state: State, queue: str = "email") -> tuple[int, float]:
    histogram = state.waits[TASK, queue]
    return histogram.count, histogram.sum_seconds


def test_a_task_is_counted_by_name_worker_and_queue(state: State) -> None:
    state.apply(life(runtime=0.5), 10)
    assert counted(state, name=TASK, host="pod-1", queue="email") == {
        "received": 1,
        "started": 1,
        "succeeded": 1,
    }
    assert counted(state, name=TASK, host="", queue="email") == {"sent": 1}
    assert state.runtimes[TASK, "email"].sum_seconds == 0.5
    assert (state.queues["email"].running, state.held) == (0, 0)


def test_without_series_by_worker_there_is_one_row_for_all(state: State) -> None:
    state = State(default_queue="default", per_worker=False)
    for number in range(10):
        state.apply([event("task-received", f"id-{number}", hostname=f"io@pod-{number}")], 1)
    assert len(state.rows) == 1


def test_the_wait_is_from_sending_to_start_by_one_clock_however_wrong_the_others_are(
    state: State,
) -> None:
    state.apply([event("task-sent", queue="email", at=9e9)], 100)
    state.apply([event("task-received", at=-500)], 101)
    state.apply([event("task-started", at=3.0)], 103.5)
    assert waits(state) == (1, 3.5)


def test_a_countdown_is_no_wait(state: State) -> None:
    state.apply([event("task-sent", queue="email", eta="2026-01-01T00:00:00+00:00")], 0)
    state.apply([event("task-received"), event("task-started")], 60)
    assert state.waits == {}


def test_a_sending_that_is_heard_of_after_the_start_gives_the_queue_and_a_wait_of_nothing(
    state: State,
) -> None:
    state.apply([event("task-received"), event("task-started")], 5)
    assert state.queues["default"].running == 1
    state.apply([event("task-sent", queue="email")], 5.1)
    assert waits(state) == (1, 0.0)
    assert (state.queues["default"].running, state.queues["email"].running) == (0, 1)
    state.apply([event("task-succeeded", runtime=1.0)], 6)
    assert state.queues["email"].running == 0
    assert counted(state, queue="email")["succeeded"] == 1


def test_without_events_of_producers_the_queue_is_that_of_the_last_task_of_the_name(
    state: State,
) -> None:
    state.apply(life("first"), 1)
    state.apply([event("task-received", "second")], 2)
    assert counted(state, queue="email")["received"] == 2


def test_running_work_is_what_has_started_and_not_ended(state: State) -> None:
    for number in range(3):
        state.apply(life(f"id-{number}")[:3], 1)
    assert state.queues["email"].running == state.workers[WORKER].tasks_active() == 3
    state.apply([event("task-failed", "id-0"), event("task-retried", "id-1")], 2)
    assert state.queues["email"].running == 1


def test_a_failure_is_counted_by_the_class_of_its_exception(state: State) -> None:
    state.apply(life("a", end="task-failed", exception="ValueError('no good')"), 1)
    state.apply(life("b", end="task-failed", exception="<unrepresentable>"), 1)
    state.apply(life("c", end="task-failed", exception=None), 1)
    (row,) = [row for row in state.rows.all() if row.failures]
    assert row.failures == {"ValueError": 1, "UnknownException": 2}


def test_a_retry_is_a_new_life_of_the_same_id_with_a_wait_of_its_own(state: State) -> None:
    state.apply(life()[:3], 0)
    # The pool's process sends the retry before its parent tells of it.
    state.apply([event("task-sent", queue="email", at=2.5)], 10)
    state.apply([event("task-retried", at=2.6)], 10)
    state.apply([event("task-received", at=2.7)], 11)
    state.apply([event("task-started", at=2.8)], 12)
    assert waits(state) == (2, 2.0)
    assert state.queues["email"].running == 1
    assert state.duplicates == 0


@pytest.mark.parametrize("end", ["task-succeeded", "task-failed", "task-revoked", "task-retried"])
def test_every_event_twice_counts_once_but_for_what_producers_send(state: State, end: str) -> None:
    for each in life(end=end):
        state.apply([each, each], 1)
    ended = counted(state, host="pod-1")
    assert set(ended.values()) == {1}
    assert len(ended) == 3
    assert state.queues["email"].running == 0


def test_a_whole_life_twice_leaves_nothing_running(state: State) -> None:
    state.apply([*life(), *life()], 1)
    assert (state.queues["email"].running, state.held) == (0, 0)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_events_come_each_is_counted_and_nothing_runs_for_ever(
    state: State, order: tuple[int, ...]
) -> None:
    events = life(runtime=1.0)
    state.apply([events[at] for at in order], 1)
    assert state.totals[:4] == [1, 1, 1, 1]
    assert {queue.running for queue in state.queues.values()} == {0}
    assert state.held == 0


def test_an_end_without_a_beginning_is_counted_under_the_name_that_dashboards_leave_out(
    state: State,
) -> None:
    state.apply([event("task-succeeded", runtime=2.0)], 1)
    assert counted(state, name="None") == {"succeeded": 1}


def test_a_task_revoked_before_a_worker_took_it_has_the_name_it_was_sent_with(state: State) -> None:
    state.apply([event("task-sent", queue="email"), event("task-revoked")], 1)
    assert counted(state, name=TASK, queue="email")["revoked"] == 1


def test_a_rejection_after_the_failure_has_the_name_of_its_task(state: State) -> None:
    state.apply([*life(end="task-failed"), event("task-rejected", at=3.1)], 1)
    assert counted(state, name=TASK)["rejected"] == 1


def test_a_cancelled_task_runs_no_more(state: State) -> None:
    state.apply([*life()[:3], event("task-cancelled")], 1)
    assert (state.queues["email"].running, state.held) == (0, 0)


def test_a_task_that_comes_back_from_a_lost_worker_runs_on_the_other_one_alone(
    state: State,
) -> None:
    state.apply(life()[:3], 1)
    state.apply(
        [event("task-received", hostname="io@pod-2"), event("task-started", hostname="io@pod-2")], 2
    )
    assert state.queues["email"].running == 1
    assert state.workers[WORKER].tasks_active() == 0
    assert state.workers["io@pod-2"].tasks_active() == 1


def test_a_task_with_the_id_of_one_that_has_ended_runs(state: State) -> None:
    state.apply(life(), 1)
    state.apply([event("task-received", at=20), event("task-started", at=21)], 2)
    assert state.queues["email"].running == 1


def test_a_task_longer_than_any_may_be_has_ended_unseen() -> None:
    state = State(default_queue="default", max_task_seconds=60)
    state.apply(life()[:3], 0)
    beat = event("worker-heartbeat", active=1)
    for now in range(0, 360, 60):
        state.apply([beat], now)
    assert state.queues["email"].running == 1
    state.apply([beat], 361)
    assert state.queues["email"].running == 0


def test_what_producers_sent_is_remembered_until_a_worker_has_it(state: State) -> None:
    state.apply([event("task-sent", queue="email")], 5)
    assert state.sent_at("id-1") == 5
    state.apply([event("task-received")], FORGOTTEN_AFTER_SECONDS)
    assert state.sent_at("id-1") is None


def test_of_a_countdown_it_is_not_known_since_when_it_should_have_run(state: State) -> None:
    state.apply([event("task-sent", queue="email", eta="2026-01-01T00:00:00+00:00")], 5)
    assert state.sent_at("id-1") is None
