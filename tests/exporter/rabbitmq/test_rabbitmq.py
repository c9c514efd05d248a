"""Events and lengths, on a real RabbitMQ."""

from collections.abc import Iterator

import pytest
from celery import Celery

from celery_exporter.broker.management import Management
from celery_exporter.broker.rabbitmq import RabbitMQ
from celery_exporter.events.rabbitmq import RabbitEvents
from celery_runtime import configure, delays
from celery_runtime.queues import TaskQueue
from tests.exporter.conftest import StartExporter
from tests.runtime.brokers import servers
from tests.runtime.conftest import Mounted, Start, wait_until

TASK = {"name": "tiny.work", "queue_name": "email"}
#: Metrics of a queue that no other broker has; dashboards and alerts ask for some of them.
TOLD_BY_RABBITMQ_ALONE = {
    "celery_active_consumer_count",
    "celery_delay_queue_held_messages",
    "celery_queue_held_dead_letters",
    "celery_queue_members",
    "celery_queue_online_members",
    "celery_queue_unacked_messages",
}
#: What two elections in a row can leave behind before RabbitMQ 4.3.3 (its issue 16652).
NOBODY_MOVES_THEM = """
[supervisor:terminate_child(rabbit_fifo_dlx_sup, Pid)
 || {_, Pid, _, _} <- supervisor:which_children(rabbit_fifo_dlx_sup)].
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Container]:
    servers.remove_orphans()
    started = servers.rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    yield started
    started.remove()


@pytest.fixture
def app(
    server: servers.Container, mounted: Mounted, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Celery]:
    mounted.settings["broker"] = dict(server.settings)
    for name, text in server.secrets.items():
        mounted.secret(name, text)
    mounted.secret("results/url", f"{redis_url}/0")
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.write()))
    app = Celery("rabbit", set_as_current=False)
    configure(app)
    yield app
    app.close()


def listen(source: RabbitEvents, *, turns: int) -> list[bytes]:
    """What comes in so many turns."""
    return [message for _ in range(turns) for message in source.read(wait_seconds=0.2)]


def management_url(server: servers.Container) -> str:
    published = servers.engine("port", server.name, "15672/tcp").splitlines()[0]
    return f"http://127.0.0.1:{published.rpartition(':')[2]}"


def test_events_arrive_in_order_also_several_in_one_message(app: Celery) -> None:
    source = RabbitEvents(app)
    source.connect()
    found: list[str] = []
    try:
        with app.events.default_dispatcher() as dispatcher:
            for each in range(100):
                dispatcher.send("task-started", uuid=str(each))
        with app.connection_for_write() as connection:
            dispatcher = app.events.Dispatcher(connection, buffer_group={"task"})
            for each in range(100, 110):
                dispatcher.send("task-started", uuid=str(each))
            dispatcher.flush()

        def enough() -> bool:
            for message in source.read(wait_seconds=0.2):
                found.extend(event["uuid"] for event in source.decode(message))
            return len(found) >= 110

        wait_until(enough, "all events")
        assert source.read(wait_seconds=0) == []
    finally:
        source.close()
    assert found == [str(each) for each in range(110)]


def test_a_lost_connection_is_an_error_and_the_next_one_works(
    app: Celery, server: servers.Container
) -> None:
    source = RabbitEvents(app)
    source.connect()
    server.execute("rabbitmqctl", "close_all_connections", "test")
    with pytest.raises(Exception, match=r"(?i)closed|reset|forced|lost|test"):
        listen(source, turns=50)
    source.close()
    source.connect()
    assert source.read(wait_seconds=0.1) == []
    source.close()


def test_a_queue_that_is_not_there_is_unread_and_the_others_are_read(app: Celery) -> None:
    app.send_task("a", queue="default")
    broker = RabbitMQ(app)
    try:
        wait_until(
            lambda: broker.read(["default"]).depths["default"].ready == 1, "the message waits"
        )
        reading = broker.read(["nowhere", "default"])
        assert set(reading.unread) == {"nowhere"}
        assert (reading.depths["default"].consumers, reading.depths["default"].unacked) == (0, None)
    finally:
        broker.close()


def test_the_management_api_tells_what_workers_hold(
    app: Celery, server: servers.Container, worker: Start
) -> None:
    worker("prefork").wait_for("ready", 200)
    app.send_task("tiny.work", (60,), queue="email")
    broker = RabbitMQ(app, Management(management_url(server)))
    try:
        wait_until(
            lambda: broker.read(["email"]).depths["email"].unacked == 1,
            "the API, which is a few seconds late, tells of it",
            seconds=60,
        )
        found = broker.read(["email"]).depths["email"]
        assert found.consumers == found.members == found.online_members == 1
    finally:
        broker.close()


def test_a_management_api_that_is_away_leaves_what_amqp_tells(app: Celery) -> None:
    app.send_task("a", queue="default")
    broker = RabbitMQ(app, Management("http://127.0.0.1:1"))
    try:
        assert broker.read(["default"]).depths["default"].unacked is None
    finally:
        broker.close()


@pytest.fixture
def queue(app: Celery) -> TaskQueue:
    """A queue in which nothing has died yet."""
    queue: TaskQueue = app.amqp.queues["default"]
    with app.connection_for_write() as connection, connection.channel() as channel:
        for each in (queue(channel), queue.dead_letters(channel)):
            each.delete()
            each.declare()
    return queue


def die(app: Celery, queue: TaskQueue) -> None:
    """Send a task and let its message die."""
    app.send_task("a", queue=queue.name)
    with app.connection_for_write() as connection, connection.channel() as channel:
        queue(channel).get().reject()


def test_dead_letters_that_are_held_back_are_told_of_and_a_restart_brings_them(
    app: Celery, queue: TaskQueue, exporter: StartExporter, server: servers.Container
) -> None:
    watching = exporter(CELERY_EXPORTER_MANAGEMENT_URL=management_url(server))
    server.execute("rabbitmqctl", "eval", NOBODY_MOVES_THEM)
    die(app, queue)
    watching.wait_for(1, "celery_queue_held_dead_letters", queue_name="default")
    watching.wait_for(0, "celery_dead_letter_queue_length", queue_name="default")
    server.stop()
    server.start()
    watching.wait_for(1, "celery_dead_letter_queue_length", queue_name="default")
    watching.wait_for(0, "celery_queue_held_dead_letters", queue_name="default")


def test_tasks_that_are_due_and_held_back_are_told_of_and_a_restart_brings_them(
    app: Celery, queue: TaskQueue, exporter: StartExporter, server: servers.Container
) -> None:
    delays.declare(app)
    watching = exporter(CELERY_EXPORTER_MANAGEMENT_URL=management_url(server))
    watching.wait_for(0, "celery_delay_queue_held_messages", queue_name="celery_delayed_1")
    server.execute("rabbitmqctl", "eval", NOBODY_MOVES_THEM)
    app.send_task("a", queue=queue.name, countdown=3)
    watching.wait_for(1, "celery_delay_queue_held_messages", queue_name="celery_delayed_1")
    watching.wait_for(0, "celery_queue_length", queue_name="default")
    server.stop()
    server.start()
    watching.wait_for(1, "celery_queue_length", queue_name="default")
    watching.wait_for(0, "celery_delay_queue_held_messages", queue_name="celery_delayed_1")


def test_a_rabbitmq_that_goes_away_and_comes_back_is_said_and_waited_for(
    app: Celery, exporter: StartExporter, server: servers.Container
) -> None:
    app.send_task("a", queue="default")
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    watching.wait_for(1, "celery_exporter_queue_up", queue_name="default")
    server.stop()
    try:
        for source in ("events", "broker"):
            watching.wait_for(0, "celery_exporter_up", source=source)
        assert watching.value("celery_queue_length", queue_name="default") is None
        assert watching.get("/live")[0] == watching.get("/ready")[0] == 200
    finally:
        server.start()

    def is_counted() -> bool:
        with app.connection_for_write() as connection:  # those of the pool are broken
            dispatcher = app.events.Dispatcher(connection)
            dispatcher.send("task-sent", uuid="a", name="b", queue="default")
        return bool(watching.value("celery_task_sent_total", name="b", queue_name="default"))

    wait_until(is_counted, "events are counted again", seconds=60)
    watching.wait_for(1, "celery_exporter_queue_up", queue_name="default")


def test_a_task_is_seen_from_its_sending_to_its_end(
    app: Celery,
    exporter: StartExporter,
    worker: Start,
    mounted: Mounted,
    server: servers.Container,
) -> None:
    mounted.settings["config"] = {"worker_send_task_events": True, "task_send_sent_event": True}
    mounted.write()
    watching = exporter(CELERY_EXPORTER_MANAGEMENT_URL=management_url(server))
    watching.wait_for(1, "celery_exporter_up", source="events")
    worker("gevent").wait_for("ready", 200)
    app.conf.task_send_sent_event = True
    app.send_task("tiny.work", (0,), queue="email")
    watching.wait_for(1, "celery_task_total", status="success")
    assert watching.value("celery_task_sent_total", **TASK) == 1
    assert watching.value("celery_task_runtime_count", **TASK) == 1
    watching.wait_for(1, "celery_active_consumer_count", queue_name="email")

    def told() -> set[str]:
        queues = [frozenset({("queue_name", name)}) for name in ("email", "celery_delayed_0")]
        return {name for name, labels in watching.samples() if labels in queues}

    wait_until(lambda: told() >= TOLD_BY_RABBITMQ_ALONE, "what RabbitMQ alone tells", seconds=60)
