"""A connection that the worker has lost and RabbitMQ has not: the mailbox stays locked."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from amqp.exceptions import NotFound, ResourceLocked
from celery.utils.nodenames import gethostname

from tests.runtime.brokers.bench import QUIET, SAFE, Bench, exits, ready, wait_until
from tests.runtime.brokers.proxy import Proxy, proxy
from tests.runtime.brokers.servers import Container, amqp_url
from tests.runtime.conftest import Service

LOCKED = "RESOURCE_LOCKED"
SOON_SECONDS = 20
#: RabbitMQ sends one in half the time. Celery's loop waits 2 s for a message, and anew after each
#: heartbeat: with shorter ones it looks for SIGTERM by chance.
HEARTBEAT_SECONDS = 6


@pytest.fixture
def between(rabbitmq: Container, rabbit_bench: Bench) -> Iterator[Proxy]:
    """A proxy that the workers of the bench connect through."""
    with proxy(int(rabbitmq.settings["port"])) as running:
        rabbit_bench.mounted.settings["broker"] = {**rabbitmq.settings, "port": running.port}
        rabbit_bench.url = amqp_url(running.port)
        yield running


def test_a_prefork_worker_works_on_without_its_mailbox_where_a_plain_one_exits(
    between: Proxy, rabbit_bench: Bench
) -> None:
    plain, shipped = rabbit_bench.plain("prefork"), rabbit_bench.shipped("prefork")
    ready(plain, shipped)
    between.lose_clients()
    assert plain.process.wait(timeout=SOON_SECONDS) == 1
    assert LOCKED in plain.log.read_text()
    wait_until(lambda: LOCKED in shipped.log.read_text(), service=shipped)
    assert_it_works_on(rabbit_bench)
    # It has not connected again and again meanwhile, which would have put back what it works on.
    assert shipped.log.read_text().count("Connection to broker lost") == 1
    between.lose_brokers()
    assert_it_works(rabbit_bench, shipped)
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]


def test_a_gevent_worker_keeps_its_remote_control_which_a_plain_one_loses(
    between: Proxy, rabbit_bench: Bench
) -> None:
    plain, shipped = rabbit_bench.plain("gevent", *QUIET), rabbit_bench.shipped("gevent", *QUIET)
    ready(plain, shipped)
    # Under gevent a worker is ready before it has its mailbox.
    both = {name(plain), name(shipped)}
    wait_until(lambda: names(rabbit_bench, timeout_seconds=1) == both)
    between.lose_clients()
    for worker in (plain, shipped):
        wait_until(lambda: LOCKED in worker.log.read_text(), service=worker)  # noqa: B023
    assert_it_works_on(rabbit_bench)
    between.lose_brokers()
    assert_it_works(rabbit_bench, shipped)
    assert names(rabbit_bench, timeout_seconds=5) == {name(shipped)}
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]


def test_a_gevent_worker_leaves_a_dead_connection_where_a_plain_one_waits_for_its_goodbye(
    between: Proxy, rabbit_bench: Bench
) -> None:
    plain = rabbit_bench.plain("gevent", *QUIET, broker_heartbeat=HEARTBEAT_SECONDS)
    rabbit_bench.mounted.settings["config"] = {"broker_heartbeat": HEARTBEAT_SECONDS}
    shipped = rabbit_bench.shipped("gevent", *QUIET)
    ready(plain, shipped)
    # Under gevent a worker is ready before it has its mailbox.
    wait_until(lambda: plain.log.read_text().count("Connected to") == 2, service=plain)
    between.fall_silent()
    rabbit_bench.plain_producer().send_task("journal.work", [0])
    assert_it_works(rabbit_bench, shipped)
    # The plain one knows as well, and has not come back.
    wait_until(lambda: "Connection to broker lost" in plain.log.read_text(), service=plain)
    time.sleep(5)
    assert plain.log.read_text().count("Connected to") == 2  # its own and the mailbox's
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_a_worker_leaves_a_connection_that_dies_while_its_loop_asks_where_a_plain_one_waits(
    between: Proxy, rabbit_bench: Bench, pool: str, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    paused = {"PAUSE_UNTIL": str(go_on)}
    plain = rabbit_bench.plain(pool, *QUIET, environment=paused)
    shipped = rabbit_bench.shipped(pool, *QUIET, **paused)
    for worker in (plain, shipped):
        wait_until(lambda: "Pausing" in worker.log.read_text(), service=worker)  # noqa: B023
        # Under gevent it is made beside the loop.
        wait_until(lambda: has_mailbox(rabbit_bench, worker), service=worker)  # noqa: B023
    between.fall_silent()
    go_on.touch()
    wait_until(lambda: LOCKED in shipped.log.read_text(), service=shipped)
    between.lose_brokers()
    assert_it_works(rabbit_bench, shipped)
    assert "Connection to broker lost" not in plain.log.read_text()
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]


def test_a_gevent_worker_whose_acknowledgement_is_lost_consumes_again_where_a_plain_one_idles(
    between: Proxy, rabbit_bench: Bench
) -> None:
    # One task runs and the next waits for its slot, and the loop that reads waits with it: so the
    # acknowledgement is first to find out.
    hold, prefetch = ("--concurrency=1", *QUIET), {"worker_prefetch_multiplier": 2}
    plain = rabbit_bench.plain("gevent", *hold, **SAFE | prefetch)
    rabbit_bench.mounted.settings["config"] = prefetch
    shipped = rabbit_bench.shipped("gevent", *hold)
    ready(plain, shipped)
    for producer in (rabbit_bench.plain_producer(), rabbit_bench.producer()):
        for _ in range(3):
            producer.send_task("journal.work", [4])
    rabbit_bench.journal.wait("begun", count=2)
    between.reset_clients()
    for worker in (plain, shipped):
        wait_until(lambda: "Couldn't ack" in worker.log.read_text(), service=worker)  # noqa: B023
    between.lose_brokers()
    assert_it_works(rabbit_bench, shipped)
    # The plain one has connected again as well, and tells the broker of no consumer.
    assert "Connection to broker lost" not in plain.log.read_text()
    assert rabbit_bench.depth(rabbit_bench.plain_queue) > 0
    assert exits(shipped, within_seconds=SOON_SECONDS) == [0]


def assert_it_works_on(bench: Bench) -> None:
    """Tasks need no mailbox; some go to the lost connection, and come back with its end."""
    producer = bench.producer()
    for _ in range(6):
        producer.send_task("journal.work")
    bench.journal.wait("done", count=2, within_seconds=SOON_SECONDS)


def assert_it_works(bench: Bench, worker: Service) -> None:
    task = bench.producer().send_task("journal.work")
    wait_until(lambda: task.id in bench.journal.entries("done"), service=worker)
    wait_until(lambda: name(worker) in names(bench, timeout_seconds=1), service=worker)


def has_mailbox(bench: Bench, worker: Service) -> bool:
    """Whether a connection of the worker holds it, which no other may look at then."""
    try:
        bench.depth(f"{name(worker)}@{gethostname()}.celery.pidbox")
    except ResourceLocked:
        return True
    except NotFound:
        return False
    raise AssertionError("The mailbox is nobody's.")


def names(bench: Bench, *, timeout_seconds: float) -> set[str]:
    """The workers that answer."""
    replies = bench.producer().control.ping(timeout=timeout_seconds)
    return {name.split("@")[0] for reply in replies for name in reply}


def name(worker: Service) -> str:
    """The part of its name that the bench gave to a worker."""
    assert isinstance(worker.process.args, list)
    given = [str(a) for a in worker.process.args if str(a).startswith("--hostname=")]
    return given[0].removeprefix("--hostname=").removesuffix("@%h")
