"""A task that takes longer than RabbitMQ waits for its acknowledgement.

Queue arguments are fixed when a queue is made. What can be changed later is the broker's own
`consumer_timeout`, a policy, and from 4.3 on what a consumer asks for.
"""

from collections.abc import Iterator

import pytest
from amqp.exceptions import PreconditionFailed

from tests.runtime.brokers.bench import Bench, exits, ready, wait_until
from tests.runtime.brokers.servers import Container

TIMEOUT_SECONDS = 4
TASK_SECONDS = 12
SOON_SECONDS = 60
UNRECOVERABLE = "Unrecoverable error: PreconditionFailed"
LONG_ENOUGH = '{"consumer-timeout": 60000}'


#: From here on RabbitMQ cancels the consumer; before, it closes the channel.
NOTIFIES = (4, 3)


def said(broker: Container) -> str:
    """What a worker reports that has lost its message."""
    if broker.version() >= NOTIFIES:
        return "Basic.cancel"
    return "PRECONDITION_FAILED - delivery acknowledgement on channel"


@pytest.fixture
def impatient(rabbitmq: Container) -> Iterator[Container]:
    """RabbitMQ that looks at its consumers each second and waits for few."""
    configure(rabbitmq, timeout_seconds=TIMEOUT_SECONDS, look_seconds=1)
    yield rabbitmq
    configure(rabbitmq, timeout_seconds=1800, look_seconds=60)


def configure(broker: Container, *, timeout_seconds: int, look_seconds: int) -> None:
    settings = {"consumer_timeout": timeout_seconds, "channel_tick_interval": look_seconds}
    for name, seconds in settings.items():
        term = f"application:set_env(rabbit, {name}, {seconds * 1000})."
        broker.execute("rabbitmqctl", "eval", term)


def test_a_long_task_stops_a_plain_worker_and_is_done_once_where_a_policy_gives_it_time(
    impatient: Container, rabbit_bench: Bench
) -> None:
    pattern = f"^{rabbit_bench.queue}$"
    policy = ["set_policy", rabbit_bench.queue, pattern, LONG_ENOUGH, "--apply-to", "queues"]
    impatient.execute("rabbitmqctl", *policy)
    plain = rabbit_bench.plain("prefork", task_acks_late=True)
    shipped = rabbit_bench.shipped("prefork")
    ready(plain, shipped)
    rabbit_bench.plain_producer().send_task("journal.work", [TASK_SECONDS])
    task = rabbit_bench.producer().send_task("journal.work", [TASK_SECONDS])
    # From 4.3 on a classic queue, such as Celery makes by itself, has no such timeout.
    if impatient.version() < NOTIFIES:
        # It ends then, or hangs as it ends: Celery's pool was seen to.
        wait_until(lambda: UNRECOVERABLE in plain.log.read_text())
        assert said(impatient) in plain.log.read_text()
    rabbit_bench.journal.wait("done", count=2, within_seconds=SOON_SECONDS)
    if impatient.version() < NOTIFIES:
        # What it did is to be done again, and it takes nothing any more.
        assert rabbit_bench.depth(rabbit_bench.plain_queue) == 1
        assert plain.process.poll() in (None, 1)
    assert rabbit_bench.journal.entries("begun").count(task.id) == 1
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]
    assert rabbit_bench.depth() == 0


def test_a_long_task_is_done_again_but_no_worker_ends_where_nothing_gives_it_time(
    impatient: Container, rabbit_bench: Bench
) -> None:
    shipped = rabbit_bench.shipped("prefork")
    ready(shipped)
    task = rabbit_bench.producer().send_task("journal.work", [TASK_SECONDS])
    rabbit_bench.journal.wait("begun", count=2, within_seconds=SOON_SECONDS)
    assert set(rabbit_bench.journal.entries("begun")) == {task.id}
    assert shipped.process.poll() is None
    assert said(impatient) in shipped.log.read_text()


def test_only_from_4_3_on_a_consumer_can_ask_for_more_time(
    impatient: Container, rabbit_bench: Bench
) -> None:
    producer = rabbit_bench.producer()
    worker = rabbit_bench.shipped("prefork")
    ready(worker)
    assert exits(worker, within_seconds=SOON_SECONDS) == [0]
    producer.send_task("journal.work")
    with producer.connection_for_read() as connection:
        connection.default_channel.basic_consume(
            rabbit_bench.queue, callback=id, arguments={"x-consumer-timeout": 60_000}
        )
        connection.drain_events(timeout=SOON_SECONDS)
        waits = impatient.version() >= NOTIFIES
        with pytest.raises(TimeoutError if waits else PreconditionFailed):
            connection.drain_events(timeout=3 * TIMEOUT_SECONDS)
