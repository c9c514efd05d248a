"""What is told while the broker is there, away, and slow."""

import itertools
import threading
from collections.abc import Mapping, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_exporter import roster
from celery_exporter.monitor import STUCK_AFTER_SECONDS, Monitor
from celery_exporter.readings import Depth, Reading
from celery_exporter.scaling import Board
from celery_exporter.state.counting import State
from tests.exporter.conftest import samples_of, value
from tests.exporter.fleet.test_tally import running
from tests.exporter.state.celery_events import TASK, WORKER, event, life
from tests.exporter.worlds import group

DEAD_LETTERS = {"email": "email.dead"}


class FakeBroker:
    """A broker with one queue, which counts how often it was asked."""

    def __init__(self) -> None:
        self.queues: list[Sequence[str]] = []
        self.away = False
        self.asked = 0
        self.closed = 0

    def read(self, queues: Sequence[str]) -> Reading:
        self.asked += 1
        self.queues.append(queues)
        if self.away:
            raise ConnectionRefusedError("nobody listens")
        return Reading(depths={queue: Depth(ready=3) for queue in queues})

    def close(self) -> None:
        self.closed += 1


class Silence:
    """A source of events that has none."""

    def connect(self) -> None: ...

    def read(self, *, wait_seconds: float) -> Sequence[bytes]:
        assert wait_seconds
        return []

    def close(self) -> None: ...

    def decode(self, message: bytes, /) -> list[dict[str, object]]:
        raise AssertionError(message)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def monitor(
    broker: FakeBroker,
    clock: Clock | None = None,
    source: Silence | None = None,
    board: Board | None = None,
) -> Monitor:
    return Monitor(
        State(default_queue="email"),
        broker,
        board or Board([], dead_letters=DEAD_LETTERS),
        source=source,
        clock=clock or Clock(),
    )


def test_a_scrape_asks_the_broker_nothing() -> None:
    broker = FakeBroker()
    watching = monitor(broker)
    watching.read_broker()
    for _ in range(3):
        watching.page()
    assert broker.asked == 1


def test_lengths_are_unknown_while_the_broker_is_away() -> None:
    broker = FakeBroker()
    watching = monitor(broker)
    watching.read_broker()
    assert value(samples_of(watching.page()), "celery_queue_length", queue_name="email") == 3
    broker.away = True
    watching.read_broker()
    seen = samples_of(watching.page())
    assert value(seen, "celery_queue_length", queue_name="email") is None
    assert value(seen, "celery_dead_letter_queue_length", queue_name="email") is None
    assert value(seen, "celery_exporter_up", source="broker") == 0
    assert broker.closed == 1


def test_why_the_broker_cannot_be_asked_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Away(FakeBroker):
        def read(self, queues: Sequence[str]) -> Reading:
            raise RedisConnectionError(f"{len(queues)} questions refused")

    watching = monitor(Away())
    for _ in range(3):
        watching.read_broker()
    assert caplog.messages == ["The broker cannot be asked: ConnectionError: 2 questions refused"]


def test_it_is_ready_once_the_broker_was_asked_even_if_it_is_away() -> None:
    broker = FakeBroker()
    broker.away = True
    watching = monitor(broker)
    assert not watching.ready().ok
    watching.read_broker()
    assert watching.ready().ok


def test_it_is_dead_when_the_loop_of_events_does_not_turn() -> None:
    clock = Clock()
    watching = monitor(FakeBroker(), clock, Silence())
    assert watching.live().ok
    clock.now = STUCK_AFTER_SECONDS + 1
    assert not watching.live().ok
    assert watching.pump is not None
    watching.pump.turn()
    assert watching.live().ok


def test_a_broker_without_events_has_no_loop_that_could_be_stuck() -> None:
    clock = Clock()
    watching = monitor(FakeBroker(), clock)
    clock.now = 1e6
    assert watching.live().ok
    assert value(samples_of(watching.page()), "celery_exporter_up", source="events") is None


def test_workers_that_cannot_be_asked_keep_what_they_said() -> None:
    watching = monitor(FakeBroker(), Clock(), Silence())
    assert watching.pump is not None
    watching.pump.connected = True
    watching.ask_workers(lambda: {"io@pod-1": roster.Answer(4, ("email",))})

    def fail() -> Mapping[str, roster.Answer]:
        raise ConnectionResetError("gone")

    watching.ask_workers(fail)
    seen = samples_of(watching.page())
    assert value(seen, "celery_worker_concurrency", hostname="pod-1") == 4
    assert value(seen, "celery_exporter_up", source="workers") == 0


def test_while_no_event_can_be_heard_workers_are_unknown_and_afterwards_still_there() -> None:
    clock = Clock()
    watching = monitor(FakeBroker(), clock, Silence())
    pump = watching.pump
    assert pump is not None
    pump.connected = True
    watching._take(life()[:3], 1.0)
    assert value(samples_of(watching.page()), "celery_worker_up", hostname="pod-1") == 1
    pump.connected = False
    for clock.now in (60.0, 120.0, 180.0):
        watching._take([], clock.now)
        seen = samples_of(watching.page())
        for name in ("celery_worker_up", "celery_worker_tasks_active"):
            assert value(seen, name, hostname="pod-1") is None
        assert value(seen, "celery_queue_running_tasks", queue_name="email") is None
        assert value(seen, "celery_task_sent_total", name=TASK, queue_name="email") == 1
    pump.connected = True
    watching._take([], clock.now)
    seen = samples_of(watching.page())
    assert value(seen, "celery_worker_up", hostname="pod-1") == 1
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 1


def test_a_goodbye_while_workers_are_asked_counts_more_than_the_answer() -> None:
    clock = Clock()
    watching = monitor(FakeBroker(), clock)

    def ask() -> Mapping[str, roster.Answer]:
        clock.now = 3.0
        watching._take([event("worker-offline")], 2.0)
        return {WORKER: roster.Answer(4, ("email",))}

    watching.ask_workers(ask)
    assert value(samples_of(watching.page()), "celery_worker_up", hostname="pod-1") == 0


def test_a_label_that_is_capped_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watching = monitor(FakeBroker())
    for first in range(0, 100_000, 500):
        numbers = range(first, first + 500)
        watching._take([event("task-sent", f"{n}", name=f"junk-{n}") for n in numbers], first)
    assert caplog.text.count("more values of 'name'") == 1
    assert value(samples_of(watching.page()), "celery_exporter_capped_total", label="name") == 99e3


def test_pages_are_whole_while_events_are_counted() -> None:
    watching = monitor(FakeBroker())
    stopping = threading.Event()

    def count() -> None:
        for number in itertools.count():
            if stopping.is_set():
                return
            host = f"io@pod-{number % 5}"
            name = f"task-{number % 7}"
            came = event("task-received", str(number), name=name, hostname=host)
            end = event("task-failed", str(number), hostname=host, exception="ValueError()")
            watching._take([came, end], number)

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        for _ in range(30):
            assert samples_of(watching.page())
    finally:
        stopping.set()
        thread.join(timeout=10)
    assert not thread.is_alive()


def test_the_two_answers_of_a_worker_are_one_and_either_may_be_missing_or_broken() -> None:
    stats = {"a": {"pool": {"max-concurrency": 4}}, "b": {"pool": None}, "c": "?"}
    queues = {"a": [{"name": "email"}], "d": [{"name": "email"}, 5]}
    assert roster.answers(stats, queues) == {
        "a": roster.Answer(4, ("email",)),
        "b": roster.Answer(None, None),
        "c": roster.Answer(None, None),
        "d": roster.Answer(None, ("email",)),
    }


def test_queues_that_are_scaled_for_are_read_each_time_and_the_others_now_and_then() -> None:
    clock, broker = Clock(), FakeBroker()
    board = Board([group("io", "email")], dead_letters=DEAD_LETTERS, clock=clock)
    watching = monitor(broker, clock, board=board)
    for _ in range(7):
        watching.read_broker(all_every_seconds=5)
        clock.now += 1
    assert [len(queues) for queues in broker.queues] == [2, 1, 1, 1, 1, 2, 1]
    seen = samples_of(watching.page())
    assert value(seen, "celery_dead_letter_queue_length", queue_name="email") == 3
    plan = board.plan("io")
    assert plan is not None
    assert plan.backlog == 3


def test_the_first_reading_after_the_broker_was_away_is_of_all_queues() -> None:
    clock, broker = Clock(), FakeBroker()
    board = Board([group("io", "email")], dead_letters=DEAD_LETTERS, clock=clock)
    watching = monitor(broker, clock, board=board)
    for away in (False, True, False):
        broker.away = away
        watching.read_broker(all_every_seconds=5)
        clock.now += 1
    assert [len(queues) for queues in broker.queues] == [2, 1, 2]


def test_while_no_worker_can_be_asked_what_they_run_is_unknown_not_zero() -> None:
    watching = monitor(FakeBroker())
    watching.tally([running("pod-1")])
    seen = samples_of(watching.page())
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 0
    watching.tally(None)
    seen = samples_of(watching.page())
    assert value(seen, "celery_exporter_up", source="workers") == 0
    assert value(seen, "celery_queue_running_tasks", queue_name="email") is None
    assert value(seen, "celery_worker_up", hostname="pod-1") is None
    watching.tally([running("pod-1", "email")])
    seen = samples_of(watching.page())
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 1
