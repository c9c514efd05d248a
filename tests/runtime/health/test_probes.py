"""What the probes say of a worker, from what it tells and what the broker answers."""

import pytest

from celery_runtime.health.probes import STUCK_AFTER_SECONDS, LoopSign, Verdict, WorkerProbes
from tests.runtime.health.fakes import Clock, Worker

ASK_EVERY_SECONDS = STUCK_AFTER_SECONDS / 2


@pytest.fixture
def probes(worker: Worker, clock: Clock) -> WorkerProbes:
    return WorkerProbes(worker, clock=clock)


@pytest.fixture
def consuming(probes: WorkerProbes, worker: Worker) -> WorkerProbes:
    probes.connected(worker)
    worker.turn()
    return probes


def test_before_the_broker_is_there_a_worker_is_alive_and_not_ready(
    probes: WorkerProbes, clock: Clock
) -> None:
    clock.seconds += 3600
    probes.answered(waiting=7)
    assert probes.live() == Verdict(True, "waiting for the broker")
    assert probes.ready() == Verdict(False, "waiting for the broker")
    assert not probes.doubtful()


def test_a_worker_is_ready_from_the_first_turn_of_its_loop(
    probes: WorkerProbes, worker: Worker
) -> None:
    probes.connected(worker)
    assert probes.ready() == Verdict(False, "connected, about to consume")
    worker.turn()
    assert probes.ready() == Verdict(True, "consuming")


def test_a_silent_loop_is_dead_once_the_broker_has_answered_twice(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    assert consuming.live().ok
    for _ in range(2):
        clock.seconds += ASK_EVERY_SECONDS
        assert consuming.live().ok
        assert consuming.doubtful()
        consuming.answered(waiting=0)
    assert consuming.live().ok
    clock.seconds += 1
    assert consuming.live() == Verdict(False, "the consumer loop has been stuck for 61 s")
    assert not consuming.ready().ok
    worker.turn()
    consuming.fetched()
    assert consuming.live().ok
    assert consuming.ready().ok


def test_a_loop_that_is_silent_with_the_broker_is_alive_and_not_ready(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    consuming.live()
    for _ in range(20):
        clock.seconds += ASK_EVERY_SECONDS
        consuming.unanswered()
        assert consuming.live().ok
    assert not consuming.ready().ok
    # The broker is back, and its first answer comes before the loop has turned.
    consuming.answered(waiting=3)
    assert consuming.live().ok
    worker.turn()
    consuming.fetched()
    clock.seconds += ASK_EVERY_SECONDS
    consuming.answered(waiting=3)
    assert consuming.live() == Verdict(True, "consuming")
    assert consuming.ready().ok


def test_an_answer_that_is_missing_between_two_makes_them_no_evidence(
    consuming: WorkerProbes, clock: Clock
) -> None:
    consuming.live()
    for answer in (True, False, True, False, True):
        clock.seconds += ASK_EVERY_SECONDS
        if answer:
            consuming.answered(waiting=1)
        else:
            consuming.unanswered()
        assert consuming.live().ok


def test_a_loop_that_turns_between_two_answers_is_not_stuck(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    for _ in range(5):
        consuming.live()
        clock.seconds += 3 * STUCK_AFTER_SECONDS
        consuming.answered(waiting=0)
        assert consuming.live().ok
        worker.turn()


def test_a_loop_that_its_own_tasks_hold_up_is_not_stuck(
    probes: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    worker.is_held_up, worker.has_free_slots = True, False
    probes.connected(worker)
    for _ in range(5):
        clock.seconds += STUCK_AFTER_SECONDS
        assert not probes.doubtful()
        probes.answered(waiting=9)
        assert probes.live().ok
    worker.is_held_up = False
    for _ in range(2):
        probes.answered(waiting=9)
    assert not probes.live().ok


def test_a_worker_with_free_slots_that_fetches_nothing_that_waits_is_dead(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    for waiting in (1, 2):
        clock.seconds += ASK_EVERY_SECONDS
        assert consuming.doubtful()
        consuming.answered(waiting)
        assert consuming.live().ok
        worker.turn()
    clock.seconds += 1
    reason = "2 messages waiting, slots free, nothing fetched for 61 s"
    assert consuming.live() == Verdict(False, reason)
    assert consuming.ready() == Verdict(False, reason)
    consuming.fetched()
    assert consuming.live() == Verdict(True, "consuming")


@pytest.mark.parametrize("fault", ["empty", "away", "fetched", "full"])
def test_an_idle_worker_is_not_dead(
    consuming: WorkerProbes, worker: Worker, clock: Clock, fault: str
) -> None:
    for turn in range(20):
        clock.seconds += ASK_EVERY_SECONDS
        consuming.answered(waiting=1)
        if turn % 2 and fault == "fetched":
            consuming.fetched()
        elif turn % 2:
            worker.has_free_slots = fault != "full"
            consuming.unanswered() if fault == "away" else consuming.answered(waiting=0)
            worker.has_free_slots = True
        worker.turn()
        assert consuming.live() == Verdict(True, "consuming")


def test_a_busy_worker_leaves_the_broker_in_peace(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    clock.seconds += ASK_EVERY_SECONDS - 1
    assert not consuming.doubtful()
    consuming.fetched()
    worker.turn()
    clock.seconds += ASK_EVERY_SECONDS - 1
    assert not consuming.doubtful()


def test_a_new_connection_starts_with_a_clean_slate(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    for _ in range(3):
        clock.seconds += ASK_EVERY_SECONDS
        consuming.answered(waiting=1)
        worker.turn()
    assert not consuming.live().ok
    consuming.disconnected()
    assert consuming.live() == Verdict(True, "waiting for the broker")
    consuming.connected(worker)
    worker.turn()
    assert consuming.live() == Verdict(True, "consuming")


def test_one_question_is_open_at_a_time(probes: WorkerProbes, worker: Worker) -> None:
    probes.connected(worker)
    for _ in range(100):
        probes.live()
        probes.ready()
    assert len(worker.callbacks) == 1


def test_a_worker_that_drains_says_how_much_is_left(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    worker.is_draining, worker.tasks = True, 2
    clock.seconds += 3600
    assert consuming.ready() == Verdict(False, "shutting down, 2 tasks to finish")
    assert consuming.live() == Verdict(True, "shutting down, 2 tasks to finish")
    worker.tasks = 1
    assert consuming.live() == Verdict(True, "shutting down, 1 task to finish")
    worker.tasks = 0
    assert consuming.live() == Verdict(True, "shutting down, no task left")
    assert consuming.ready() == Verdict(False, "shutting down, no task left")


def test_a_finished_drain_that_does_not_end_the_process_is_dead(
    consuming: WorkerProbes, worker: Worker, clock: Clock
) -> None:
    worker.is_draining = True
    assert consuming.live().ok
    clock.seconds += STUCK_AFTER_SECONDS
    assert consuming.live().ok
    clock.seconds += 1
    assert consuming.live() == Verdict(False, "every task has ended, but not the process, for 61 s")


def test_a_loop_s_sign_is_asked_for_again_after_each_answer(worker: Worker, clock: Clock) -> None:
    sign = LoopSign(worker.call_soon, clock)
    first = sign.ask()
    clock.seconds += 1
    assert sign.ask() == first
    worker.turn()
    assert sign.has_turned
    assert sign.ask() == first + 1
