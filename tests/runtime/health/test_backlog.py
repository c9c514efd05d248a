"""When the broker is asked how many messages wait, and what of."""

import pytest
from amqp.exceptions import AccessRefused
from celery import Celery
from celery.app.amqp import Queue
from kombu.exceptions import OperationalError
from kombu.transport.memory import Channel

from celery_runtime.health.backlog import TURNS_PER_QUESTION, BrokerBacklog, Watch
from celery_runtime.health.probes import STUCK_AFTER_SECONDS, WorkerProbes
from tests.runtime.health.fakes import Clock, Worker

TURN_SECONDS = STUCK_AFTER_SECONDS / 2 / TURNS_PER_QUESTION


class Store:
    """A broker in memory."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self.messages: int | None = 0

    def waiting(self) -> int:
        self.asked += 1
        if self.messages is None:
            raise ConnectionResetError("gone")
        return self.messages

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def probes(worker: Worker, clock: Clock) -> WorkerProbes:
    probes = WorkerProbes(worker, clock=clock)
    probes.connected(worker)
    worker.turn()
    return probes


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def watch(probes: WorkerProbes, store: Store) -> Watch:
    return Watch(probes, store)


def let_pass(seconds: float, clock: Clock, worker: Worker, watch: Watch) -> None:
    for _ in range(int(seconds / TURN_SECONDS)):
        clock.seconds += TURN_SECONDS
        worker.turn()
        watch.turn()


def test_an_idle_worker_asks_twice_in_the_time_after_which_it_would_be_stuck(
    store: Store, clock: Clock, worker: Worker, watch: Watch
) -> None:
    let_pass(10 * STUCK_AFTER_SECONDS, clock, worker, watch)
    assert 18 <= store.asked <= 20


def test_a_busy_worker_never_asks_and_holds_no_connection(
    store: Store, clock: Clock, worker: Worker, watch: Watch, probes: WorkerProbes
) -> None:
    for _ in range(50):
        let_pass(2 * TURN_SECONDS, clock, worker, watch)
        probes.fetched()
    assert store.asked == 0
    assert store.closed > 0


def test_a_worker_that_is_stuck_says_so_once_in_its_log(
    store: Store,
    clock: Clock,
    worker: Worker,
    watch: Watch,
    probes: WorkerProbes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.messages = 4
    let_pass(3 * STUCK_AFTER_SECONDS, clock, worker, watch)
    assert not probes.live().ok
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "4 messages waiting, slots free, nothing fetched for 6" in record.getMessage()


def test_a_broker_that_does_not_answer_is_said_once_and_asked_on_a_new_connection(
    store: Store,
    clock: Clock,
    worker: Worker,
    watch: Watch,
    probes: WorkerProbes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.messages = None
    let_pass(3 * STUCK_AFTER_SECONDS, clock, worker, watch)
    assert probes.live().ok
    assert store.closed >= store.asked > 2
    (record,) = caplog.records
    assert record.getMessage() == "The broker does not say how many messages wait: gone"


def test_the_messages_of_every_queue_of_this_worker_are_counted() -> None:
    app = Celery("counted", broker="memory://")
    names = ("mine", "mine_too", "absent", "alone", "of_another")
    arguments = {"alone": {"x-single-active-consumer": True}}
    app.conf.task_queues = [Queue(name, queue_arguments=arguments.get(name)) for name in names]
    app.amqp.queues.select(names[:-1])
    with app.connection_for_write() as connection:
        for name in ("mine", "mine_too", "alone", "of_another"):
            queue = connection.SimpleQueue(name)
            queue.put("a message")
            queue.close()
    backlog = BrokerBacklog(app, heartbeat_seconds=60)
    assert backlog.waiting() == 2
    assert backlog.waiting() == 2
    backlog.close()
    backlog.close()


def test_a_broker_that_is_away_is_an_error_and_not_zero() -> None:
    app = Celery("away", broker="amqp://127.0.0.1:1")
    with pytest.raises(OperationalError, match="refused"):
        BrokerBacklog(app, heartbeat_seconds=60).waiting()


def test_a_question_that_the_broker_refuses_is_an_error_and_not_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AccessRefused("not for this user", reply_code=403)

    app = Celery("refused", broker="memory://")
    app.amqp.queues.select("guarded")
    monkeypatch.setattr(Channel, "queue_declare", refuse)
    with pytest.raises(AccessRefused):
        BrokerBacklog(app, heartbeat_seconds=60).waiting()
