"""Lengths, on a real Redis."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from celery import Celery
from redis import Redis as Client

from celery_exporter.broker.redis import Redis
from tests.runtime.redisserver import RedisServer


@pytest.fixture(params=["", "shop:"])
def app(redis_url: str, request: pytest.FixtureRequest) -> Iterator[Celery]:
    app = Celery("lengths", broker=f"{redis_url}/9", set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": request.param}
    yield app
    app.close()
    with Client.from_url(f"{redis_url}/9") as client:
        client.flushdb()


def test_all_priorities_are_counted_and_each_has_its_head(app: Celery) -> None:
    first = [app.send_task("a", queue="email", priority=each).id for each in (0, 3, 6, 9)]
    for priority in (0, 3, 6, 9):
        app.send_task("a", queue="email", priority=priority)
    broker = Redis(app)
    depth = broker.read(["email"]).depths["email"]
    broker.close()
    assert depth.ready == 8
    assert list(depth.heads) == first


def test_a_queue_of_which_redis_knows_nothing_is_empty(app: Celery) -> None:
    broker = Redis(app)
    reading = broker.read(["email", "default"])
    broker.close()
    assert {queue: depth.ready for queue, depth in reading.depths.items()} == {
        "email": 0,
        "default": 0,
    }
    assert reading.unacked == 0


def test_what_a_worker_holds_is_counted(app: Celery) -> None:
    app.send_task("a", queue="email")
    with app.connection_for_read() as connection, closing(connection.SimpleQueue("email")) as queue:
        queue.get(timeout=5)
        broker = Redis(app)
        reading = broker.read(["email"])
        broker.close()
        assert (reading.depths["email"].ready, reading.unacked) == (0, 1)


def test_what_is_no_list_is_unread_and_the_others_are_read(app: Celery) -> None:
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        client.set("email", "foreign")
        client.lpush("default", "no message of Celery's")
    broker = Redis(app)
    reading = broker.read(["email", "default"])
    broker.close()
    assert set(reading.unread) == {"email"}
    assert (reading.depths["default"].ready, list(reading.depths["default"].heads)) == (1, [])


def test_a_redis_that_is_away_raises_and_is_found_again(frail_redis: RedisServer) -> None:
    frail_redis.start()
    with closing(Celery("x", broker=f"{frail_redis.url}/0", set_as_current=False)) as app:
        broker = Redis(app)
        assert broker.read(["email"]).depths["email"].ready == 0
        frail_redis.stop()
        for _ in range(2):
            with pytest.raises(Exception, match=r"(?i)connect|refused|closed|reset"):
                broker.read(["email"])
            broker.close()
        frail_redis.start()
        assert broker.read(["email"]).depths["email"].ready == 0
        broker.close()
