"""More events than can be counted, on a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from redis import Redis

from tests.benchmarks.exporter_load import TOGETHER, batched, lives, message
from tests.exporter.conftest import RunningExporter, StartExporter
from tests.runtime.conftest import Mounted, wait_until
from tests.runtime.processes import freeze, thaw
from tests.runtime.redisserver import RedisServer

#: 170 MB: more than the exporter keeps and can count while it reads.
TASKS = 75_000
MESSAGES = 4 * TASKS // TOGETHER


@pytest.fixture
def redis(frail_redis: RedisServer, mounted: Mounted) -> Iterator[Redis]:
    frail_redis.start()
    mounted.secret("results/url", f"{frail_redis.url}/0")
    mounted.settings["broker"] = {"kind": "redis"}
    mounted.secret("broker/url", f"{frail_redis.url}/0")
    mounted.write()
    with Redis.from_url(frail_redis.url) as client:
        yield client


def flood(exporter: RunningExporter, redis: Redis) -> None:
    """Everything at once, as it comes to a process that had no CPU for a while."""
    freeze(exporter.process.pid)
    try:
        for batch in batched(batched(lives(0, TASKS, workers=10), TOGETHER), 200):
            with redis.pipeline(transaction=False) as pipe:
                for events in batch:
                    pipe.publish(*message(events))
                pipe.execute()
    finally:
        thaw(exporter.process.pid)


def test_a_flood_is_counted_or_counted_as_shed_and_scrapes_are_answered_meanwhile(
    exporter: StartExporter, redis: Redis
) -> None:
    redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    flood(watching, redis)

    def all_accounted_for() -> bool:
        seen = watching.samples()
        decoded, shed = (outcome(seen, each) for each in ("decoded", "shed"))
        return decoded + TOGETHER * shed == TOGETHER * MESSAGES

    wait_until(all_accounted_for, "every message is counted or shed", seconds=60)
    assert outcome(watching.samples(), "shed") > 0
    assert watching.value("celery_exporter_up", source="events") == 1
    assert watching.log.read_text().count("is shed and counted") == 1
    assert memory_mib(watching) < 400


def test_a_redis_that_closes_the_connection_in_a_flood_is_connected_to_again(
    exporter: StartExporter, redis: Redis
) -> None:
    redis.config_set("client-output-buffer-limit", f"pubsub {1024 * 1024} 0 0")
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    flood(watching, redis)
    wait_until(lambda: "No events, next try" in watching.log.read_text(), "Redis has closed it")
    watching.wait_for(1, "celery_exporter_up", source="events")
    before = watching.value("celery_task_total", status="success") or 0

    def is_counted() -> bool:
        last = next(lives(TASKS, 1, workers=1)) | {"type": "task-succeeded", "hostname": "io@a"}
        redis.publish(*message((last,)))
        return (watching.value("celery_task_total", status="success") or 0) > before

    wait_until(is_counted, "events are counted again")


def test_a_message_without_an_end_is_given_up(exporter: StartExporter, redis: Redis) -> None:
    redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    redis.publish("/0.celeryev/task.sent", orjson.dumps("x" * 100_000_000))
    wait_until(lambda: "more than 67,108,864 bytes" in watching.log.read_text(), "it is given up")
    watching.wait_for(1, "celery_exporter_up", source="events")
    assert memory_mib(watching) < 400


def outcome(seen: dict[tuple[str, frozenset[tuple[str, str]]], float], kind: str) -> float:
    return seen["celery_exporter_events_total", frozenset({("outcome", kind)})]


def memory_mib(exporter: RunningExporter) -> float:
    """The most that it ever had in memory."""
    lines = Path(f"/proc/{exporter.process.pid}/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024
