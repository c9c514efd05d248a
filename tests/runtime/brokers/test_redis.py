"""What only Redis has: sentinels, prefixes, its own priorities, lists that anybody can push to."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from celery_runtime.deadletter.box import Box
from celery_runtime.deadletter.record import DeadMessage
from celery_runtime.queues import TaskQueue
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import (
    LIMIT,
    VISIBILITY_SECONDS,
    OpenShop,
    Servers,
    Shop,
    furnish,
    new_queues,
)
from tests.runtime.conftest import CHART_POOLS, Mounted, wait_until

both_pools = pytest.mark.parametrize("pool", CHART_POOLS)
on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
#: A killed worker's message is looked for every third of its timeout.
RETURN_SECONDS = 2 * VISIBILITY_SECONDS + 20


def dead(shop: Shop) -> list[DeadMessage]:
    """The dead messages of all queues."""
    queues = [queue for queue in shop.app.amqp.queues.values() if isinstance(queue, TaskQueue)]
    with Box(shop.app, queues) as box:
        return [held.dead for held in box]


def client(shop: Shop) -> Redis:
    """The broker itself."""
    return Redis(port=shop.server.settings["port"], password=servers.PASSWORD)


def waiting(shop: Shop, *, prefix: str = "") -> list[dict[str, Any]]:
    """The messages of the default queue, as kombu wrote them."""
    items: Any = client(shop).lrange(prefix + shop.app.conf.task_default_queue, 0, -1)
    return [json.loads(item) for item in items]


# Prefixes


@pytest.fixture
def shops(
    running: Servers, mounted: Mounted, redis_url: str, open_shop: OpenShop, tmp_path: Path
) -> list[Shop]:
    """Two applications with the same queues on one database, and a prefix each."""
    queues, opened = new_queues(), []
    client = Redis(port=running["redis"].settings["port"], password=servers.PASSWORD)
    client.flushall()
    for prefix in ("one:", "two:"):
        own = Mounted(tmp_path / prefix, dict(mounted.settings))
        (own.path / "broker").mkdir(parents=True)
        own.secret("results/url", f"{redis_url}/0")
        furnish(
            own,
            running["redis"],
            *queues,
            keyPrefix=prefix,
            visibilityTimeoutSeconds=VISIBILITY_SECONDS,
        )
        opened.append(open_shop(own, running["redis"]))
    return opened


def test_two_applications_with_a_prefix_each_share_a_database(shops: list[Shop]) -> None:
    one, two = shops
    workers = {"one": one.start("prefork"), "two": two.start("gevent")}
    for worker in workers.values():
        worker.wait_for("ready", 200)
    # Remote control: each is answered by its own worker.
    assert [len(shop.app.control.ping(timeout=3)) for shop in shops] == [1, 1]

    # What a killed worker held comes back to its own application only.
    held = one.send("send_email", "held", 4)
    one.wait_for_runs(held, 1)
    workers["one"].process.send_signal(signal.SIGKILL)
    workers["one"].process.wait()
    refused = one.send("refuse")
    mails = [one.send("send_email", f"mail {n}") for n in range(5)]
    for _ in range(VISIBILITY_SECONDS + 4):
        assert two.send("send_email", "a second", 1).get(timeout=20) == "a second"
    assert one.runs(held) == 1
    assert [one.runs(task) for task in (refused, *mails)] == [0] * 6
    assert len(waiting(one, prefix="one:")) == 6
    assert client(one).hlen("one:unacked") == 1

    last = one.start("gevent")
    last.wait_for("ready", 200)
    assert [mail.get(timeout=20) for mail in mails] == [f"mail {n}" for n in range(5)]
    assert held.get(timeout=RETURN_SECONDS) == "held"

    # Dead letters stay apart, too.
    assert [message.id for message in dead(one)] == [refused.id]
    assert dead(two) == []
    assert [last.stop(), workers["two"].stop()] == [0, 0]
    keys: Any = client(one).keys()
    assert {key.decode().split(":")[0] for key in keys} <= {"one", "two"}


# Priorities


@on_redis
def test_on_redis_zero_is_the_most_urgent(shop: Shop) -> None:
    normal = [shop.send("send_email", f"{n}", priority=9) for n in range(5)]
    urgent = [shop.send("send_email", f"{n}", priority=0) for n in range(5)]
    default = shop.send("send_email", "default")
    service = shop.start("prefork", concurrency=1)
    for result in (*normal, *urgent, default):
        result.get(timeout=20)
    first = min(result.date_done for result in normal)
    assert all(result.date_done < first for result in (*urgent, default))
    assert service.stop() == 0


# Prefetching


@on_redis
@both_pools
@pytest.mark.parametrize("hoards", [False, True])
def test_a_busy_worker_leaves_tasks_that_are_acknowledged_early_to_an_idle_one(
    shop: Shop, pool: str, hoards: bool
) -> None:
    name = f"{pool}-{os.urandom(4).hex()}"
    # Without it Celery takes one more than it can run.
    more = {"CELERY_WORKER_DISABLE_PREFETCH": "false"} if hoards else {}
    busy = shop.start(pool, concurrency=1, **more)
    busy.wait_for("ready", 200)
    shop.ledger.set(f"hold:{name}", 1)
    running = shop.send("hold", name)
    shop.wait_for_runs(running, 1)
    next_ = shop.send("hold", "next")
    if hoards:
        wait_until(lambda: not waiting(shop), "the busy worker takes one more")
    idle = shop.start(pool, concurrency=1, **more)
    idle.wait_for("ready", 200)
    assert shop.send("hold", "another").get(timeout=20) == "another"
    assert shop.runs(next_) == (0 if hoards else 1)
    shop.ledger.delete(f"hold:{name}")
    assert [running.get(timeout=20), next_.get(timeout=20)] == [name, "next"]
    assert [busy.stop(), idle.stop()] == [0, 0]


@on_redis
def test_a_worker_that_scales_its_processes_takes_what_they_can_run(shop: Shop) -> None:
    names = [f"{n}-{os.urandom(4).hex()}" for n in range(3)]
    for name in names:
        shop.ledger.set(f"hold:{name}", 1)
    service = shop.start("prefork", "--autoscale=3,1")
    service.wait_for("ready", 200)
    held = [shop.send("hold", name) for name in names]
    for result in held:
        shop.wait_for_runs(result, 1)
    for name in names:
        shop.ledger.delete(f"hold:{name}")
    assert [result.get(timeout=20) for result in held] == names
    assert service.stop() == 0


# Delivery limits


@on_redis
@both_pools
def test_a_message_dies_with_the_last_worker_that_its_limit_allows(shop: Shop, pool: str) -> None:
    task = shop.send("send_email", "deadly", 60)
    for run in range(1, LIMIT + 2):
        worker = shop.start(pool)
        shop.wait_for_runs(task, run, seconds=RETURN_SECONDS)
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
    last = shop.start(pool)
    wait_until(lambda: dead(shop), "it is dead", seconds=RETURN_SECONDS)
    (message,) = dead(shop)
    assert (message.id, message.reason) == (task.id, "delivery_limit")
    assert shop.runs(task) == LIMIT + 1
    assert last.stop() == 0


@on_redis
@both_pools
def test_a_worker_that_leaves_in_order_costs_no_delivery(shop: Shop, pool: str) -> None:
    shop.send("send_email", "later", countdown=300)
    for _ in range(LIMIT + 1):
        worker = shop.start(pool)
        worker.wait_for("ready", 200)
        wait_until(lambda: not waiting(shop), "the worker holds it")
        assert worker.stop() == 0
        (message,) = waiting(shop)
        assert "x-delivery-count" not in message["headers"]
    assert dead(shop) == []


# Fetching


@on_redis
@both_pools
def test_a_message_on_its_way_to_a_worker_that_is_killed_comes_back(shop: Shop, pool: str) -> None:
    killed = shop.start(pool, app="fatalapp:app")
    killed.wait_for("ready", 200)
    task = shop.send("send_email", "on its way")
    assert killed.process.wait(timeout=20) == -signal.SIGKILL
    assert waiting(shop) == []
    service = shop.start(pool)
    assert task.get(timeout=RETURN_SECONDS) == "on its way"
    assert service.stop() == 0


@on_redis
def test_a_fetch_whose_answer_is_lost_is_answered_the_same_when_it_is_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shop.send("send_email", "1"), shop.send("send_email", "2")
    queue = shop.app.conf.task_default_queue
    with shop.app.connection_for_read() as connection:
        channel = connection.default_channel
        monkeypatch.setattr("celery_runtime.transports.fetching.uuid4", lambda: "a tag")
        fetched = [channel.basic_get(queue).headers["id"] for _ in range(2)]
        assert fetched == [first.id] * 2
        assert [message["headers"]["id"] for message in waiting(shop)] == [second.id]


@on_redis
@both_pools
def test_workers_share_what_others_put_and_no_bell_tells_of(shop: Shop, pool: str) -> None:
    queue = shop.app.conf.task_default_queue
    services = [shop.start(pool, concurrency=1) for _ in range(2)]
    for service in services:
        service.wait_for("ready", 200)
    sent = [shop.send("send_email", f"{n}", 0.5) for n in range(8)]
    # As a producer with kombu's own transport, or in another language, leaves them.
    client(shop).delete(f"{queue}\x06\x16bell")
    assert [result.get(timeout=30) for result in sent] == [f"{n}" for n in range(8)]

    def done() -> list[int]:
        lines = [service.lines() for service in services]
        return [sum("succeeded" in line["message"] for line in each) for each in lines]

    wait_until(lambda: sum(done()) == 8, "all are logged")
    assert min(done()) >= 3
    assert [service.stop() for service in services] == [0, 0]


@on_redis
def test_a_waiting_worker_has_the_next_message_at_once(
    shop: Shop, mounted: Mounted, open_shop: OpenShop
) -> None:
    mounted.settings["broker"]["keyPrefix"] = "shop:"
    mounted.write()
    shop = open_shop(mounted, shop.server)
    service = shop.start("gevent")
    service.wait_for("ready", 200)
    began = time.monotonic()
    for n in range(20):
        shop.send("send_email", f"{n}").get(timeout=30)
    one_by_one = time.monotonic() - began
    sent = [shop.send("send_email", f"{n}") for n in range(40)]
    for result in sent:
        result.get(timeout=60)
    heap = time.monotonic() - began - one_by_one
    # Without a bell each would wait for half a second, and each of a heap for a whole one.
    assert (one_by_one < 6, heap < 20) == (True, True), (one_by_one, heap)
    assert service.stop() == 0


@on_redis
def test_a_channel_has_one_client_until_its_connections_are_lost(shop: Shop) -> None:
    with shop.app.connection_for_write() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        channel._disconnect_pools()
        with channel.conn_or_acquire() as other:
            assert other is not first
            assert other.ping()


@on_redis
def test_a_message_that_a_client_does_not_acknowledge_is_not_held(shop: Shop) -> None:
    shop.send("send_email", "gone")
    with shop.app.connection_for_read() as connection:
        assert connection.default_channel.basic_get(shop.app.conf.task_default_queue, no_ack=True)
        assert client(shop).hlen("unacked") == 0
    service = shop.start("prefork")
    service.wait_for("ready", 200)
    # The answers come by a queue whose consumer acknowledges nothing.
    assert len(shop.app.control.ping(timeout=3)) == 1
    assert client(shop).hlen("unacked") == 0
    assert service.stop() == 0


# What is no message


def foreign(queue: str) -> list[bytes]:
    """Items of others: not text, not JSON, not kombu's, nearly kombu's."""
    nearly = {
        "body": "x",
        "headers": {"task": "shop.send_email", "id": "1"},
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "1",
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
    return [
        b"\xff\xfe",
        b"",
        b"7",
        b"[" * 100_000,
        b'{"task": "shop.send_email", "id": "1", "args": ["never"], "kwargs": {}}',
        json.dumps(nearly).encode(),
        json.dumps({**nearly, "properties": {"delivery_tag": "2"}}).encode(),
        json.dumps({**nearly, "properties": {"delivery_tag": "3", "delivery_info": 5}}).encode(),
    ]


@on_redis
@both_pools
@pytest.mark.parametrize("prefix", ["", "shop:"])
def test_a_foreign_item_in_a_queue_is_kept_among_the_dead_and_the_worker_goes_on(
    shop: Shop, mounted: Mounted, open_shop: OpenShop, pool: str, prefix: str
) -> None:
    mounted.settings["broker"]["keyPrefix"] = prefix
    mounted.write()
    shop = open_shop(mounted, shop.server)
    queue = shop.app.conf.task_default_queue
    service = shop.start(pool)
    service.wait_for("ready", 200)
    items = foreign(queue)
    for item in items:
        client(shop).lpush(prefix + queue, item)
    assert shop.send("send_email", "goes on").get(timeout=20) == "goes on"
    wait_until(lambda: client(shop).llen(f"{prefix}{queue}.dead") == len(items), "all are kept")
    assert {message.reason for message in dead(shop)} == {"unreadable"}
    assert sorted(message.size_bytes for message in dead(shop)) == sorted(map(len, items))
    assert service.probe("ready") == (200, "consuming")
    assert service.stop() == 0


@on_redis
def test_a_foreign_item_that_a_killed_worker_had_just_taken_comes_back(shop: Shop) -> None:
    queue = shop.app.conf.task_default_queue
    client(shop).hset("unacked", "a tag", f'[{{"half a,"","{queue}"]')
    client(shop).zadd("unacked_index", {"a tag": 1})
    service = shop.start("prefork")
    wait_until(lambda: dead(shop), "it is dead", seconds=RETURN_SECONDS)
    (message,) = dead(shop)
    assert (message.reason, message.size_bytes) == ("unreadable", len('{"half a'))
    assert service.stop() == 0
