"""Two beats on one Redis: whatever happens to one, nothing is sent twice."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from redbeat.schedulers import get_redis
from redis import Redis

from celery_runtime import LockNotHeldError, configure
from celery_runtime.beat.patient import LOCK
from celery_runtime.beat.redis import Scheduler
from tests.runtime.processes import freeze, thaw

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Service, Start

ENTRIES = 400
LOCK_SECONDS = 3
POLL_SECONDS = 1
#: On a machine with other work, where hundreds of sends took 12 s.
DEADLINE_SECONDS = 60
#: On such a machine.
SLACK_SECONDS = 8


@pytest.fixture
def store(redis_url: str) -> Iterator[Redis]:
    """The database that holds schedule and lock."""
    with Redis.from_url(f"{redis_url}/0", decode_responses=True) as client:
        yield client
        client.flushall()


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(f"{redis_url}/1", decode_responses=True) as client:
        yield client


@pytest.fixture
def hourly(reachable: "Mounted") -> "Mounted":
    """Many tasks that are due every hour, and a lock that is soon over."""
    reachable.settings["config"] |= {
        "redbeat_lock_timeout": LOCK_SECONDS,
        "beat_max_loop_interval": POLL_SECONDS,
    }
    reachable.settings["beat"] = {
        "keyPrefix": "redbeat:shop:",
        "schedule": {
            f"e{number}": {"task": "tiny.work", "every": 3600, "queue": "email", "args": [number]}
            for number in range(ENTRIES)
        },
    }
    reachable.write()
    return reachable


def pair(beat: "Start") -> tuple["Service", "Service"]:
    """A beat that holds the lock, and one that waits for it."""
    holder = beat()
    holder.wait_for("ready", 200)
    standby = beat()
    standby.wait_for_line(message="beat: Starting...")
    return holder, standby


def make_due(store: Redis) -> None:
    with store.pipeline() as pipe:
        for key in map(str, store.zrange("redbeat:shop::schedule", 0, -1)):
            pipe.hset(key, "meta", json.dumps({"last_run_at": None}))
            pipe.zadd("redbeat:shop::schedule", {key: 1})
        pipe.execute()


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def sent(broker: Redis) -> list[str]:
    """The arguments of every message that was sent."""
    messages = broker.lrange("email", 0, -1)
    return sorted(json.loads(message)["headers"]["argsrepr"] for message in messages)


def interrupt_amid_its_sends(broker: Redis, interrupt: Callable[[], None]) -> None:
    wait_until(lambda: broker.llen("email") > 20)
    interrupt()
    assert broker.llen("email") < ENTRIES - 1


@pytest.mark.usefixtures("hourly")
def test_a_beat_that_stood_still_notices_before_it_sends_that_another_took_over(
    beat: "Start", store: Redis, broker: Redis
) -> None:
    holder, standby = pair(beat)
    make_due(store)
    interrupt_amid_its_sends(broker, lambda: freeze(holder.process.pid))
    wait_until(lambda: broker.llen("email") >= ENTRIES - 1)
    assert standby.wait_for("ready", 200) == "ticking"

    thaw(holder.process.pid)
    wait_until(lambda: any(line["level"] == "CRITICAL" for line in holder.lines()))
    (line,) = [line for line in holder.lines() if line["level"] == "CRITICAL"]
    assert "The schedule's lock ran out" in line["message"]
    assert sent(broker) == sorted(f"[{number}]" for number in range(ENTRIES))
    assert standby.probe("ready") == (200, "ticking")
    # It waits as the other one did, without a restart, for which Kubernetes takes its time.
    wait_until(lambda: holder.probe("live") == (200, f"waiting for {LOCK}"))
    assert standby.stop() == 0
    holder.wait_for("ready", 200)
    make_due(store)
    wait_until(lambda: broker.llen("email") == 2 * ENTRIES)
    assert holder.stop() == 0


@pytest.mark.usefixtures("hourly")
def test_a_beat_that_is_killed_is_replaced_when_its_lock_is_over(
    beat: "Start", store: Redis, broker: Redis
) -> None:
    holder, standby = pair(beat)
    make_due(store)
    interrupt_amid_its_sends(broker, holder.process.kill)
    before = time.monotonic()
    standby.wait_for("ready", 200)
    assert time.monotonic() - before < LOCK_SECONDS + POLL_SECONDS + SLACK_SECONDS
    found = sent(broker)
    assert len(found) == len(set(found))
    # What it had moved on and not sent yet is not sent: once at most, by design.
    assert len(found) >= ENTRIES - 1


@pytest.mark.usefixtures("hourly", "store")
def test_a_beat_that_is_told_to_stop_is_replaced_at_once(
    beat: "Start", reachable: "Mounted"
) -> None:
    reachable.settings["config"]["redbeat_lock_timeout"] = 600
    reachable.write()
    holder, standby = pair(beat)
    assert holder.stop() == 0
    before = time.monotonic()
    standby.wait_for("ready", 200)
    assert time.monotonic() - before < POLL_SECONDS + SLACK_SECONDS


def test_a_takeover_sends_once_what_was_missed(
    beat: "Start", hourly: "Mounted", store: Redis
) -> None:
    often = {"task": "tiny.work", "every": 1, "queue": "email", "args": [0]}
    hourly.settings["beat"]["schedule"] = {"often": often}
    hourly.write()
    holder, standby = pair(beat)
    holder.wait_for_line(message="Scheduler: Sending due task often (tiny.work)")
    holder.process.kill()
    standby.wait_for_sends(3)
    assert standby.stop() == 0
    assert not store.exists("redbeat:shop::lock")
    times = [time for time, _ in holder.sends() + standby.sends()]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert max(gaps) > LOCK_SECONDS - POLL_SECONDS
    assert min(gaps) > 0.8


@pytest.fixture
def scheduler(hourly: "Mounted", monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """The scheduler of a beat in this process, which holds the lock; one task is due."""
    hourly.settings["beat"]["schedule"] = {"a": {"task": "t", "every": 3600, "queue": "email"}}
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(hourly.write()))
    with new_scheduler() as found:
        found.lock = get_redis(found.app).lock(found.lock_key, timeout=LOCK_SECONDS)
        found.lock.acquire()
        found.tick()
        yield found


@contextmanager
def new_scheduler() -> Iterator[Scheduler]:
    """A scheduler of the mounted schedule, and its connections for as long."""
    app = Celery(set_as_current=False)
    configure(app)
    found = Scheduler(app)
    try:
        yield found
    finally:
        found.connection.release()
        get_redis(app).close()
        app.close()


def test_an_entry_is_neither_moved_on_nor_put_back_without_the_lock(
    scheduler: Scheduler, store: Redis, broker: Redis
) -> None:
    make_due(store)
    (entry,) = scheduler.schedule.values()
    store.set(scheduler.lock_key, "another beat")
    before = store.hgetall(entry.key)
    with pytest.raises(LockNotHeldError):
        scheduler.reserve(entry)
    with pytest.raises(LockNotHeldError):
        scheduler.put_back(entry)
    assert store.hgetall(entry.key) == before
    assert not broker.exists("email")


def test_only_the_beat_that_holds_the_lock_writes_the_schedule(
    scheduler: Scheduler, hourly: "Mounted", store: Redis
) -> None:
    before = store.zrange("redbeat:shop::schedule", 0, -1)
    hourly.settings["beat"]["schedule"] = {"b": {"task": "t", "every": 3600}}
    hourly.write()
    with new_scheduler() as standby:
        assert store.zrange("redbeat:shop::schedule", 0, -1) == before == ["redbeat:shop:a"]
        standby.lock = scheduler.lock
        standby.tick()
    assert store.zrange("redbeat:shop::schedule", 0, -1) == ["redbeat:shop:b"]


def test_sending_keeps_the_lock_alive(scheduler: Scheduler, store: Redis) -> None:
    make_due(store)
    (entry,) = scheduler.schedule.values()
    store.pexpire(scheduler.lock_key, 500)
    scheduler.reserve(entry)
    assert store.pttl(scheduler.lock_key) > 500
