"""What the probes say of workers that are broken for real, and of brokers that are."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery import Celery
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from celery_runtime import configure
from celery_runtime.health import backlog
from tests.benchmarks.probes import received
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import Servers, point
from tests.runtime.conftest import POOLS, Mounted, Service, Start, wait_until

STUCK_AFTER_SECONDS = 5
#: Long enough for every verdict that could be wrong.
PATIENCE_SECONDS = 1.6 * STUCK_AFTER_SECONDS

StartIn = Callable[..., Service]


@pytest.fixture
def results(mounted: Mounted, redis_url: str) -> None:
    mounted.secret("results/url", f"{redis_url}/0")


@pytest.fixture
def broker(request: pytest.FixtureRequest, running: Servers, mounted: Mounted) -> servers.Server:
    """The broker of this name, and the mounted settings that lead to it."""
    server = running[request.param]
    point(mounted, server)
    return server


@pytest.fixture
def sender(
    results: None,  # noqa: ARG001 # its settings
    broker: servers.Server,  # noqa: ARG001 # its settings
    mounted: Mounted,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Celery]:
    """An app that sends to that broker and leaves its queues empty."""
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
    app = Celery("sender")
    configure(app)
    yield app
    app.control.purge()
    app.close()


@pytest.fixture
def start(sender: Celery, celery: Start) -> StartIn:  # noqa: ARG001 # the settings are complete
    """Starts a worker that is soon called stuck; its app can be sabotaged."""

    def begin(pool: str, *options: str, queue: str = "default", **more: str) -> Service:
        return celery(
            "worker",
            f"--hostname={pool}@%h",
            f"--pool={pool}",
            "--concurrency=2",
            f"--queues={queue}",
            "--loglevel=info",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            *options,
            app="saboteur:app",
            CELERY_RUNTIME_STUCK_AFTER_SECONDS=str(STUCK_AFTER_SECONDS),
            **more,
        )

    return begin


on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
on_both = pytest.mark.parametrize("broker", ["rabbitmq", "redis"], indirect=True)


@on_rabbitmq
def test_a_worker_that_fetches_nothing_though_messages_wait_is_dead_in_every_pool(
    start: StartIn, sender: Celery
) -> None:
    assert_that_a_cancelled_consumer_is_found([start(pool) for pool in POOLS], sender)


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_worker_that_fetches_nothing_though_messages_wait_is_dead_on_redis_too(
    start: StartIn, sender: Celery
) -> None:
    assert_that_a_cancelled_consumer_is_found(
        [start(pool) for pool in ("prefork", "gevent")], sender
    )


def assert_that_a_cancelled_consumer_is_found(services: list[Service], sender: Celery) -> None:
    for service in services:
        service.wait_for("ready", 200)
    for service in services:
        service.process.send_signal(signal.SIGUSR2)
    wait_until_nothing_is_fetched(sender)
    sender.send_task("tiny.work", [0], queue="default")
    sender.send_task("tiny.work", [0], queue="default")
    began = time.monotonic()
    for service in services:
        reason = service.wait_for("live", 503)
        assert "waiting, slots free, nothing fetched for " in reason
        assert service.probe("ready")[0] == 503
        line = service.wait_for_line(logger="celery_runtime.health.backlog", level="ERROR")
        assert "waiting, slots free, nothing fetched for " in line["message"]
    assert time.monotonic() - began < 2 * STUCK_AFTER_SECONDS + len(services)


def wait_until_nothing_is_fetched(sender: Celery) -> None:
    """Send until a message stays."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        sender.send_task("tiny.work", [0], queue="default")
        time.sleep(1)
        if waiting(sender):
            return
    pytest.fail("messages are still fetched")


def waiting(sender: Celery) -> int:
    with sender.connection_for_read() as connection, connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue="default", passive=True).message_count)
        except ChannelError:  # to Redis an empty queue is none
            return 0


@on_rabbitmq
def test_a_worker_lives_while_nothing_waits_or_its_slots_are_taken_in_solo_up_to_the_time_limit(
    start: StartIn, sender: Celery, broker: servers.Container
) -> None:
    services = [start("threads"), start("gevent", queue="email"), start("prefork", queue="idle")]
    solo = start("solo", f"--time-limit={2 * PATIENCE_SECONDS:.0f}", queue="solo")
    services.append(solo)
    for service in services:
        service.wait_for("ready", 200)
    for _ in range(5):
        sender.send_task("tiny.work", [PATIENCE_SECONDS], queue="default")
        sender.send_task("tiny.limited", queue="email")
    sender.send_task("tiny.work", [60], queue="solo")
    messages = received(broker)
    assert_live(services, PATIENCE_SECONDS)
    assert received(broker) == messages, "a probe or its question has sent a message"
    assert "the consumer loop has been stuck for " in solo.wait_for("live", 503)


@pytest.mark.parametrize("broker", ["rabbitmq", "redis", "sqs"], indirect=True)
def test_every_broker_says_how_many_messages_wait(sender: Celery) -> None:
    for queue in ("default", "default", "email"):
        sender.send_task("tiny.work", [0], queue=queue)
    asker = backlog.BrokerBacklog(sender, heartbeat_seconds=60)
    wait_until(lambda: asker.waiting() == 3, "three messages wait")
    asker.close()


@on_both
def test_a_question_to_a_silent_broker_has_an_end(
    sender: Celery, broker: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "ANSWER_TIMEOUT_SECONDS", 0.5)
    asker = backlog.BrokerBacklog(sender, heartbeat_seconds=60)
    assert asker.waiting() == 0
    with paused(broker):
        for _ in range(2):
            with pytest.raises((OSError, RedisError, OperationalError)):
                asker.waiting()
            asker.close()
    assert asker.waiting() == 0
    asker.close()


@on_both
def test_a_silent_broker_restarts_no_worker(
    start: StartIn, sender: Celery, broker: servers.Server
) -> None:
    services = [start("prefork"), start("gevent", queue="email")]
    for service in services:
        service.wait_for("ready", 200)
    slow = [sender.send_task("tiny.work", [2], queue=queue) for queue in ("default", "email")]
    for service, result in zip(services, slow, strict=True):
        service.wait_for_line(task_id=result.id, message="working")
    with paused(broker):
        # The tasks end in the pause: their acknowledgements meet the silence.
        assert_live(services, PATIENCE_SECONDS)
    for queue in ("default", "email"):
        sender.send_task("tiny.work", [0], queue=queue).get(timeout=30)
    for service in services:
        service.wait_for("ready", 200)
        assert service.probe("live")[0] == 200
    assert [service.stop() for service in services] == [0, 0]


@on_rabbitmq
def test_a_loop_that_is_blocked_is_dead_and_so_is_a_drain_that_does_not_end(
    start: StartIn,
) -> None:
    services = [start(pool) for pool in ("prefork", "gevent", "eventlet", "threads")]
    hanging = start("gevent", TINY_HANGS_AT_SHUTDOWN="yes")
    for service in (*services, hanging):
        service.wait_for("ready", 200)
    for service in services:
        service.process.send_signal(signal.SIGUSR1)
    hanging.terminate()
    assert hanging.wait_for("ready", 503) == "shutting down, no task left"
    assert hanging.probe("live")[0] == 200
    for service in services:
        assert "the consumer loop has been stuck for " in service.wait_for("live", 503)
        assert service.probe("ready")[0] == 503
    assert "every task has ended, but not the process" in hanging.wait_for("live", 503)


@contextmanager
def paused(broker: servers.Server) -> Iterator[None]:
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


def assert_live(services: list[Service], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for service in services:
            status, reason = service.probe("live")
            assert status == 200, f"{reason}\n{service.log.read_text()}"
        time.sleep(0.3)
