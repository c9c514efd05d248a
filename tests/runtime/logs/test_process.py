"""What a worker writes from its first line to its last, under both pools."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from celery import Celery

from tests.runtime.conftest import CHART_POOLS

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Service, Start

both_pools = pytest.mark.parametrize("pool", CHART_POOLS)

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
PASSWORD = "p@:/?#%+ é\"'\\w"


@pytest.fixture
def noisy(worker: "Start", reachable: "Mounted") -> "Start":
    """Starts a worker with the noisy app and a password of special characters."""
    reachable.secret("broker/password", PASSWORD)
    return lambda pool, *more, **env: worker(pool, *more, app="noisyapp:app", **env)


def messages(service: "Service") -> list[str]:
    return [line["message"] for line in service.lines()]


@both_pools
def test_every_way_to_say_something_is_a_line_of_json(
    noisy: "Start", producer: Celery, pool: str
) -> None:
    service = noisy(pool)
    service.wait_for("ready", 200)
    sent = producer.send_task("noisy.speak", [{}], queue="default")
    service.wait_for_line(task_id=sent.id, level="ERROR", logger="celery.app.trace")
    assert service.stop() == 0
    said = messages(service)
    assert "printed at import 1" in said
    assert "two words" in said
    assert "two\nlines" in said
    assert "no end" in said
    assert "printed in a signal handler" in said
    assert "printed at the end" in said
    assert any("UserWarning: warned at import" in message for message in said)
    assert any("UserWarning: warned by a task" in message for message in said)
    errors = [line.get("exception", "") for line in service.lines() if line["level"] == "ERROR"]
    assert any(text.endswith("RuntimeError: raised by a finalizer") for text in errors)
    assert any(text.endswith("RuntimeError: raised at the end") for text in errors)
    assert "ValueError" in service.wait_for_line(level="CRITICAL")["exception"]


def test_a_task_that_is_killed_at_its_time_limit_leaves_lines_that_name_it(
    noisy: "Start", producer: Celery
) -> None:
    service = noisy("prefork", "--time-limit=1")
    service.wait_for("ready", 200)
    headers = {"traceparent": TRACEPARENT}
    sent = producer.send_task("noisy.hang", queue="email", headers=headers)
    retried = {"task_id": sent.id, "task_name": "noisy.hang", "queue": "email", "retries": 1}
    message = f"Hard time limit (1.0s) exceeded for noisy.hang[{sent.id}]"
    killed = service.wait_for_line(**retried, message=message)
    assert killed["trace_id"] == TRACE_ID
    assert service.wait_for_line(**retried, message="hanging")["span_id"] == SPAN_ID
    assert service.stop() == 0
    assert service.lines()


@both_pools
def test_lines_about_a_task_name_its_queue_its_retries_and_its_trace(
    worker: "Start", producer: Celery, pool: str
) -> None:
    service = worker(pool)
    service.wait_for("ready", 200)
    sent = producer.send_task("tiny.work", [0], queue="email", headers={"traceparent": TRACEPARENT})
    expected = {
        "task_id": sent.id,
        "task_name": "tiny.work",
        "queue": "email",
        "retries": 0,
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
    }
    received = service.wait_for_line(**expected, logger="celery.worker.strategy")
    assert received["message"].endswith(" received")
    assert service.wait_for_line(**expected, message="working")["order"] == 7
    assert service.wait_for_line(**expected, logger="celery.app.trace")["duration_ms"] > 0


def test_a_lost_child_is_a_line_that_names_its_task(worker: "Start", producer: Celery) -> None:
    service = worker("prefork", CELERY_WORKER_MAX_TASKS_PER_CHILD="1")
    service.wait_for("ready", 200)
    sent = producer.send_task("tiny.die", queue="email", headers={"trace_id": "t-1"})
    lost = service.wait_for_line(task_id=sent.id, queue="email", level="ERROR")
    assert "WorkerLostError" in lost["message"]
    assert lost["trace_id"] == "t-1"


@both_pools
def test_no_password_is_in_any_line(
    noisy: "Start", producer: Celery, reachable: "Mounted", pool: str
) -> None:
    inside = quote(PASSWORD, safe="")
    secrets = {
        "raw": PASSWORD,
        "encoded": inside,
        "url": f"amqp://celery:{inside}@host//",
        "other": "postgres://shop:hunter2@database/shop",
    }
    service = noisy(pool, "--loglevel=debug")
    service.wait_for("ready", 200)
    sent = producer.send_task("noisy.speak", [secrets], queue="default")
    failed = service.wait_for_line(task_id=sent.id, level="ERROR", logger="celery.app.trace")
    assert "amqp://celery:**@host//" in failed["exception"]
    assert service.stop() == 0
    seen = [line for line in service.lines() if line["message"] == "seen **"]
    assert seen[0]["order"] == [{"by": "**"}]
    text = service.log.read_text()
    said = "\n".join(json.dumps(line, ensure_ascii=False) for line in service.lines())
    for secret in (PASSWORD, inside, json.dumps(PASSWORD)[1:-1], repr(PASSWORD)[1:-1], "hunter2"):
        assert secret not in text
        assert secret not in said
    assert Path(reachable.path / "broker/password").read_text() == PASSWORD


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_the_level_that_is_set_is_the_level_that_is_had(
    noisy: "Start", producer: Celery, level: str
) -> None:
    services = [noisy(pool, f"--loglevel={level}", f"--queues={pool}") for pool in CHART_POOLS]
    for service, pool in zip(services, CHART_POOLS, strict=True):
        service.wait_for("ready", 200)
        sent = producer.send_task("noisy.speak", [{}], queue=pool)
        service.wait_for_line(task_id=sent.id, logger="celery.app.trace", level="ERROR")
        service.terminate()
    for service in services:
        assert service.process.wait(timeout=20) == 0
        assert_level(service, level)


def assert_level(service: "Service", level: str) -> None:
    """From the app's own, through Celery's "received" and "accepted", to the lowest of all."""
    levels = logging.getLevelNamesMapping()
    found = service.lines()
    assert min(levels[line["level"]] for line in found) == levels[level.upper()]
    said = messages(service)
    assert ("a detail" in said) == (level == "debug")
    received = any(message.endswith(" received") for message in said)
    assert received == (level in {"debug", "info"})
    assert any(message.startswith("Task accepted") for message in said) == (level == "debug")
