"""What becomes of runs that beat misses: while it is down, without Redis, without a broker."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redbeat.decoder import RedBeatJSONEncoder
from redbeat.schedulers import get_redis
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime import configure
from celery_runtime.beat.redis import Scheduler

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Service, Start
    from tests.runtime.redisserver import RedisServer

HOURLY = {"task": "tiny.work", "every": 3600, "queue": "email", "args": [0]}
NIGHTLY = {"task": "tiny.fail", "cron": "0 3 * * *", "queue": "email"}
YEARLY = {"task": "tiny.fail", "cron": "0 3 29 2 *", "queue": "email"}
OFTEN = {"task": "tiny.work", "every": 1, "queue": "email", "args": [1]}
SENT_OFTEN = "Scheduler: Sending due task often (tiny.work)"
OUTAGE_SECONDS = 4


@pytest.fixture
def frail(reachable: "Mounted", frail_redis: "RedisServer", redis_url: str) -> "Mounted":
    """Settings whose schedule is in a Redis that can go away, unlike the broker."""
    frail_redis.start()
    reachable.secret("results/url", f"{frail_redis.url}/0")
    reachable.settings["config"]["broker_url"] = f"{redis_url}/1"
    reachable.settings["beat"] = {"schedule": {"often": OFTEN}}
    reachable.write()
    return reachable


def last_ran(redis: str, name: str, *, days_ago: int) -> None:
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    with Redis.from_url(redis) as store:
        meta = json.dumps({"last_run_at": moment}, cls=RedBeatJSONEncoder)
        store.hset(f"redbeat:{name}", "meta", meta)
        store.zadd("redbeat::schedule", {f"redbeat:{name}": moment.timestamp()})


def sent(service: "Service") -> list[str]:
    """The entries that a beat has sent, or tried to."""
    return sorted(name for _, name in service.sends())


def assert_no_burst(*services: "Service") -> None:
    """What is due each second is never sent in quick succession, whatever was missed."""
    times = [time for service in services for time, _ in service.sends()]
    assert min(b - a for a, b in pairwise(times)) > timedelta(seconds=0.8)


def test_a_new_entry_waits_for_its_time_and_a_missed_one_is_sent_once(
    beat: "Start", frail: "Mounted", frail_redis: "RedisServer"
) -> None:
    frail.settings["beat"]["schedule"] = {"hourly": HOURLY, "nightly": NIGHTLY, "yearly": YEARLY}
    frail.write()
    first = beat()
    first.wait_for("ready", 200)
    assert first.stop() == 0
    assert sent(first) == []

    last_ran(frail_redis.url, "hourly", days_ago=2)
    last_ran(frail_redis.url, "nightly", days_ago=3)
    second = beat()
    second.wait_for("ready", 200)
    assert second.stop() == 0
    assert sent(second) == ["hourly", "nightly"]


@pytest.mark.usefixtures("frail")
def test_after_a_short_outage_of_redis_the_same_beat_sends_once_what_fell_due(
    beat: "Start", frail_redis: "RedisServer"
) -> None:
    service = beat()
    service.wait_for_line(message=SENT_OFTEN)
    frail_redis.stop()
    assert service.wait_for("ready", 503) == "waiting for Redis"
    assert service.probe("live")[0] == 200
    time.sleep(OUTAGE_SECONDS)
    before = len(sent(service))
    frail_redis.start()
    service.wait_for_sends(before + 3)
    assert service.stop() == 0
    assert_no_burst(service)
    assert not frail_redis.length("redbeat::lock")


def test_after_an_outage_that_outlasts_the_lock_it_is_asked_for_again_and_what_fell_due_sent_once(
    beat: "Start", frail: "Mounted", frail_redis: "RedisServer"
) -> None:
    frail.settings["config"]["redbeat_lock_timeout"] = 2
    frail.write()
    service = beat()
    service.wait_for_line(message=SENT_OFTEN)
    frail_redis.stop()
    service.wait_for("ready", 503)
    time.sleep(OUTAGE_SECONDS)
    frail_redis.start()
    before = len(service.sends())
    service.wait_for_sends(before + 3)
    (line,) = [line for line in service.lines() if line["level"] == "CRITICAL"]
    assert "The schedule's lock ran out" in line["message"]
    assert service.stop() == 0
    assert_no_burst(service)


def test_what_is_due_while_the_broker_is_away_is_sent_once_when_it_is_back(
    beat: "Start", reachable: "Mounted", redis_url: str, frail_redis: "RedisServer"
) -> None:
    reachable.settings["config"]["broker_url"] = f"{frail_redis.url}/0"
    reachable.settings["beat"] = {"schedule": {"hourly": HOURLY, "nightly": NIGHTLY}}
    reachable.write()
    frail_redis.start()
    first = beat()
    first.wait_for("ready", 200)
    assert first.stop() == 0
    last_ran(redis_url, "hourly", days_ago=2)
    last_ran(redis_url, "nightly", days_ago=2)
    frail_redis.stop()

    second = beat()
    second.wait_for_line(logger="celery_runtime.beat.patient", level="WARNING")
    assert second.wait_for("ready", 503) == "waiting for the broker"
    frail_redis.start()
    second.wait_for("ready", 200)
    assert second.stop() == 0
    assert frail_redis.length("email") == 2
    with Redis.from_url(redis_url) as store:
        store.flushall()


Away = Callable[[Scheduler, pytest.MonkeyPatch], None]


def both_away(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker and Redis go away together, between the reservation and the send."""
    write: Callable[..., None] = scheduler._write

    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    def write_once(*arguments: object) -> None:
        write(*arguments)
        monkeypatch.setattr(scheduler, "_write", store_away)

    def store_away(*_: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(scheduler, "send_task", away)
    monkeypatch.setattr(scheduler, "_write", write_once)


def answer_lost(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis goes away after it has written the reservation and before it has said so."""
    write: Callable[..., None] = scheduler._write

    def write_and_lose(*arguments: object) -> None:
        write(*arguments)
        raise RedisConnectionError("away")

    monkeypatch.setattr(scheduler, "_write", write_and_lose)


@pytest.mark.parametrize("away", [both_away, answer_lost])
def test_an_entry_that_could_not_be_put_back_is_put_back_at_a_later_tick(
    frail: "Mounted", monkeypatch: pytest.MonkeyPatch, away: Away
) -> None:
    frail.settings["beat"]["schedule"] = {"hourly": HOURLY}
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(frail.write()))
    app = Celery(set_as_current=False)
    configure(app)
    scheduler = Scheduler(app)
    scheduler.lock = get_redis(app).lock(scheduler.lock_key, timeout=60)
    scheduler.lock.acquire()
    scheduler.tick()
    with Redis.from_url(app.conf.redbeat_redis_url) as store:
        last_ran(app.conf.redbeat_redis_url, "hourly", days_ago=2)
        (entry,) = scheduler.schedule.values()
        meta = store.hget(entry.key, "meta")
        with monkeypatch.context() as outage:
            away(scheduler, outage)
            scheduler.maybe_due(entry)
        assert store.hget(entry.key, "meta") != meta
        monkeypatch.setattr(scheduler, "maybe_due", lambda *_, **__: 1)
        scheduler.tick()
        found = scheduler.Entry.from_key(entry.key, app=app)
    assert datetime.now(UTC) - found.last_run_at > timedelta(days=1)
