"""The subscription, on a real Redis."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_exporter.events import redis as events
from celery_exporter.events.decoding import Event
from celery_exporter.events.redis import RedisEvents
from celery_runtime import configure
from tests.certificates import Authority
from tests.runtime.brokers.redisservers import Replicated, tls_redis
from tests.runtime.conftest import Mounted, wait_until
from tests.runtime.redisserver import RedisServer


def app_of(url: str, **options: object) -> Celery:
    app = Celery("events", broker=url, set_as_current=False)
    app.conf.broker_transport_options = options
    return app


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    with closing(app_of(f"{redis_url}/7")) as app:
        yield app


def received(source: RedisEvents, number: int) -> list[Event]:
    """So many events, with a deadline."""
    found: list[Event] = []

    def enough() -> bool:
        for message in source.read(wait_seconds=0.2):
            found.extend(source.decode(message))
        return len(found) >= number

    wait_until(enough, f"{number} events")
    return found


def listen(source: RedisEvents, *, turns: int) -> list[bytes]:
    """What comes in so many turns."""
    return [message for _ in range(turns) for message in source.read(wait_seconds=0.1)]


def send(app: Celery, number: int = 1) -> None:
    with app.events.default_dispatcher() as dispatcher:
        for each in range(number):
            dispatcher.send("task-started", uuid=str(each))


@pytest.mark.parametrize(
    "options",
    [{}, {"global_keyprefix": "shop:"}, {"fanout_patterns": False}, {"fanout_prefix": "/own."}],
)
def test_events_of_the_application_arrive_in_order_whatever_its_prefixes(
    redis_url: str, options: dict[str, object]
) -> None:
    with closing(app_of(f"{redis_url}/7", **options)) as app:
        source = RedisEvents(app)
        source.connect()
        try:
            send(app, 100)
            assert [event["uuid"] for event in received(source, 100)] == [
                str(each) for each in range(100)
            ]
        finally:
            source.close()


def test_events_of_another_database_stay_there(app: Celery, redis_url: str) -> None:
    source = RedisEvents(app)
    source.connect()
    with closing(app_of(f"{redis_url}/8")) as other:
        send(other)
        send(app, 2)
    try:
        assert [event["uuid"] for event in received(source, 2)] == ["0", "1"]
    finally:
        source.close()


def test_several_events_in_one_message_and_a_message_in_two_blocks_are_whole(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BLOCK_BYTES", 100)
    source = RedisEvents(app)
    source.connect()
    try:
        with app.connection_for_write() as connection:
            dispatcher = app.events.Dispatcher(connection, buffer_group={"task"})
            for each in range(5):
                dispatcher.send("task-started", uuid=str(each))
            dispatcher.flush()
        assert len(received(source, 5)) == 5
    finally:
        source.close()


def test_a_closed_subscription_is_an_error(app: Celery, redis_url: str) -> None:
    source = RedisEvents(app)
    source.connect()
    try:
        with closing(Redis.from_url(redis_url)) as client:
            client.client_kill_filter(_type="pubsub")
        with pytest.raises((RedisConnectionError, OSError)):
            listen(source, turns=50)
    finally:
        source.close()


def test_silence_is_tried_and_ends_a_connection_that_does_not_answer(
    frail_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PING_AFTER_SECONDS", 0.5)
    frail_redis.start()
    with closing(app_of(f"{frail_redis.url}/0")) as app:
        source = RedisEvents(app)
        source.connect()
        try:
            assert listen(source, turns=30) == []
            frail_redis.pause()
            with pytest.raises(RedisConnectionError, match="silent"):
                listen(source, turns=30)
        finally:
            frail_redis.resume()
            source.close()


def mounted_app(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> Celery:
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.write()))
    app = Celery("events", set_as_current=False)
    configure(app)
    return app


def test_events_arrive_over_tls(
    mounted: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    server = tls_redis(tmp_path / "tls", authority)
    server.start()
    try:
        mounted.settings["broker"] = server.settings
        (mounted.path / "broker/username").unlink()
        for name, text in server.secrets.items():
            mounted.secret(name, text)
        mounted.secret("broker/ca.crt", authority.certificate.decode())
        with closing(mounted_app(mounted, monkeypatch)) as app:
            source = RedisEvents(app)
            source.connect()
            send(app, 3)
            assert len(received(source, 3)) == 3
            assert source.read(wait_seconds=0) == []
            source.close()
    finally:
        server.remove()


def test_events_arrive_from_the_master_that_sentinels_name(
    mounted: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Replicated(tmp_path)
    servers.start()
    try:
        mounted.settings["broker"] = servers.settings
        (mounted.path / "broker/username").unlink()
        for name, text in servers.secrets.items():
            mounted.secret(name, text)
        with closing(mounted_app(mounted, monkeypatch)) as app:
            source = RedisEvents(app)
            source.connect()
            send(app, 3)
            assert len(received(source, 3)) == 3
            source.close()
    finally:
        servers.remove()
