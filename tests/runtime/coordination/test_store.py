"""Which Redis is used, and what is said of it while it is away."""

import logging

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime import SettingsError, StoreAwayError
from celery_runtime.coordination import store

RESULTS = "redis://results/0"


def app_with(**configuration: str) -> Celery:
    app = Celery("shop", set_as_current=False)
    app.conf.update(configuration)
    return app


def test_the_schedules_redis_comes_before_that_of_the_results() -> None:
    both = app_with(redbeat_redis_url="rediss://schedule/1", result_backend=RESULTS)
    assert store.redis_url(both) == "rediss://schedule/1"
    assert store.redis_url(app_with(result_backend=RESULTS)) == RESULTS


@pytest.mark.parametrize("backend", ["rpc://", "db+sqlite:///x", None])
def test_an_app_without_redis_is_told_what_to_set(backend: str) -> None:
    with pytest.raises(SettingsError, match=r"need a Redis.* Set redbeat_redis_url"):
        store.redis_url(app_with(result_backend=backend))


def test_the_settings_of_tls_are_those_of_celery() -> None:
    tls = {"ssl_ca_certs": "/ca.crt"}
    app = app_with(result_backend="rediss://results/0", redis_backend_use_ssl=tls)  # type: ignore[arg-type]
    assert store.of(app).redis.get_connection_kwargs()["ssl_ca_certs"] == "/ca.crt"
    plain = app_with(result_backend=RESULTS, redis_backend_use_ssl=tls)  # type: ignore[arg-type]
    assert "ssl_ca_certs" not in store.of(plain).redis.get_connection_kwargs()


@pytest.mark.parametrize(
    ("configuration", "prefix"),
    [({}, "shop"), ({"redbeat_key_prefix": "blue:"}, "blue:shop")],
)
def test_two_releases_with_a_prefix_each_do_not_meet(
    configuration: dict[str, str], prefix: str
) -> None:
    assert store.key_prefix(app_with(**configuration)) == prefix


def test_an_app_has_one_store_and_two_apps_have_two() -> None:
    one, other = app_with(result_backend=RESULTS), app_with(result_backend=RESULTS)
    assert store.of(one) is store.of(one)
    assert store.of(one) is not store.of(other)


def test_an_outage_is_said_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    outage = store.Outage(clock=lambda: now)
    caplog.set_level(logging.INFO)
    outage.answered()
    for now in (10, 11, 12):  # noqa: B007 # the clock reads it
        outage.failed(RedisConnectionError("refused"))
        outage.answered()
    now = 12 + store.QUIET_SECONDS
    outage.answered()
    outage.answered()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "WARNING",
            "Redis is away (refused). Tasks that need it are put back, or run without it.",
        ),
        ("INFO", "Redis answers again, 7 s after it went away."),
    ]
    outage.failed(RedisConnectionError("refused"))
    assert len(caplog.records) == 3


def test_a_redis_that_takes_no_writes_is_away(redis_url: str) -> None:
    with Redis.from_url(f"{redis_url}/0") as redis:
        kept = store.Store(redis, "shop")
        redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreAwayError), kept.asking():
                redis.set("key", "value")
        finally:
            redis.config_set("maxmemory", 0)


def test_a_mistake_is_not_taken_for_an_outage(redis_url: str) -> None:
    with Redis.from_url(f"{redis_url}/0") as redis:
        kept = store.Store(redis, "shop")
        with pytest.raises(ZeroDivisionError), kept.asking():
            raise ZeroDivisionError
