"""What beat does as a process, with a Redis that is there and one that is not."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from redis import Redis

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Service

EVERY_SECOND = {"task": "tiny.work", "every": 1, "queue": "email", "args": [0]}
NIGHTLY = {"task": "tiny.fail", "cron": "0 3 * * *"}
#: Less than half of the lock that a beat would wait for.
HANDOVER_SECONDS = 14


@pytest.fixture
def store(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(f"{redis_url}/0", decode_responses=True) as client:
        yield client


def test_beat_sends_what_is_due_and_hands_its_lock_to_a_successor(
    beat: "Callable[[], Service]", reachable: "Mounted", producer: Celery, store: Redis
) -> None:
    reachable.settings["beat"] = {"schedule": {"often": EVERY_SECOND, "nightly": NIGHTLY}}
    reachable.write()
    started = time.time()
    first = beat()
    assert first.wait_for("ready", 200) == "ticking"
    # The line is before the send: with the second one the first task has been sent.
    first.wait_for_sends(2)
    assert min(last(first, "tick"), last(first, "sent")) > started
    with producer.connection_for_read() as connection:
        assert connection.default_channel.client.llen("email") > 0
    assert store.smembers("redbeat::statics") == {"often", "nightly"}
    assert store.get("redbeat::lock")

    assert first.stop() == 0
    assert not store.exists("redbeat::lock")

    del reachable.settings["beat"]["schedule"]["nightly"]
    reachable.write()
    second = beat()
    before = time.monotonic()
    second.wait_for("ready", 200)
    assert time.monotonic() - before < HANDOVER_SECONDS
    assert store.smembers("redbeat::statics") == {"often"}
    assert store.zrange("redbeat::schedule", 0, -1) == ["redbeat:often"]
    assert not store.exists("redbeat:nightly")
    assert second.stop() == 0
    assert first.lines()
    assert second.lines()


def last(service: "Service", what: str) -> float:
    """A time from beat's metrics."""
    name = f"celery_beat_last_{what}_timestamp_seconds"
    (line,) = [each for each in service.page("metrics").splitlines() if each.startswith(name)]
    return float(line.split()[1])


def test_a_second_beat_waits_for_the_lock_alive_but_not_ready(
    beat: "Callable[[], Service]", reachable: "Mounted", store: Redis
) -> None:
    store.set("redbeat::lock", "another beat", px=60_000)
    reachable.settings["config"]["redbeat_lock_timeout"] = 30
    reachable.write()
    standby = beat()
    assert standby.wait_for("live", 200).startswith("waiting for ")
    time.sleep(1)
    assert standby.probe("ready") == (503, "waiting for the lock that another beat holds")
    assert standby.probe("live")[0] == 200
    assert (last(standby, "tick"), last(standby, "sent")) == (0, 0)
    assert standby.stop() == 0
    assert store.get("redbeat::lock") == "another beat"
    store.flushall()


def test_beat_waits_for_an_absent_redis_alive_but_not_ready(beat: "Callable[[], Service]") -> None:
    service = beat()
    assert service.wait_for("live", 200).startswith("waiting for ")
    service.wait_for_line(logger="celery_runtime.beat.patient", level="WARNING")
    assert service.probe("ready") == (503, "waiting for Redis")
    assert service.stop() == 0
    assert service.lines()


def test_beat_keeps_its_lock_while_the_broker_is_away(
    beat: "Callable[[], Service]", reachable: "Mounted", store: Redis
) -> None:
    reachable.settings["config"] = {}
    reachable.settings["beat"] = {"schedule": {"often": EVERY_SECOND}}
    reachable.write()
    service = beat()
    service.wait_for_line(logger="celery_runtime.beat.patient", level="WARNING")
    assert service.wait_for("ready", 503) == "waiting for the broker"
    assert service.probe("live")[0] == 200
    assert store.get("redbeat::lock")
    assert service.stop() == 0
    assert not store.exists("redbeat::lock")
    store.flushall()
