"""What a worker does as a process, in every pool."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from celery import Celery

from tests.runtime.conftest import POOLS

if TYPE_CHECKING:
    from tests.runtime.conftest import Service, Start

OUTAGE_SECONDS = 10
every_pool = pytest.mark.parametrize("pool", POOLS)


def test_a_worker_waits_for_an_absent_broker_alive_but_not_ready(
    worker: "Start",
) -> None:
    services = [worker(pool) for pool in POOLS]
    for service in services:
        service.wait_for("live", 200)
    deadline = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < deadline:
        for service in services:
            assert service.probe("live", timeout_seconds=1) == (200, "waiting for the broker")
            assert service.probe("ready", timeout_seconds=1) == (503, "waiting for the broker")
        time.sleep(0.3)
    before = time.monotonic()
    for service in services:
        service.terminate()
    assert {service.process.wait(timeout=10) for service in services} == {0}
    assert time.monotonic() - before < 5
    for service in services:
        assert {line.get("worker_group") for line in service.lines()} == {"io"}


@every_pool
def test_a_worker_consumes_and_logs_json_and_drains_before_it_exits(
    worker: "Start", producer: Celery, pool: str
) -> None:
    service = worker(pool)
    assert service.wait_for("ready", 200) == "consuming"
    producer.send_task("tiny.work", [0.2], queue="default").get(timeout=10)
    done = service.wait_for_line(task_name="tiny.work", logger="celery.app.trace")
    assert 200 <= done["duration_ms"] < 2000
    assert done["worker_hostname"].startswith("io@")

    failed = producer.send_task("tiny.fail", queue="default")
    line = service.wait_for_line(task_id=failed.id, level="ERROR")
    assert "ValueError: no good" in line["exception"]
    assert line["duration_ms"] > 0
    if pool in ("gevent", "eventlet"):
        assert_a_blocked_hub_does_not_answer(service, producer)

    slow = producer.send_task("tiny.work", [2], queue="default")
    service.wait_for_line(task_id=slow.id, message="working", order=7)
    service.terminate()
    time.sleep(0.3)
    assert service.probe("ready") == (503, "shutting down, 1 task to finish")
    assert service.probe("live") == (200, "shutting down, 1 task to finish")
    assert service.process.wait(timeout=10) == 0
    assert slow.get(timeout=1) == 2
    messages = [line["message"] for line in service.lines()]
    assert "printed at import" in messages
    assert "printed by a task" in messages
    assert "two\nlines" in messages
    assert any(message.startswith("Shutting down: ") for message in messages)


def assert_a_blocked_hub_does_not_answer(service: "Service", producer: Celery) -> None:
    spinning = producer.send_task("tiny.spin", [2], queue="default")
    service.wait_for_line(task_id=spinning.id, message="spinning")
    with pytest.raises(TimeoutError):
        service.probe("live", timeout_seconds=0.5)
    service.wait_for("live", 200)


def test_children_of_the_pool_do_not_hold_the_socket_of_the_probes(
    worker: "Start", producer: Celery
) -> None:
    service = worker("prefork", CELERY_WORKER_MAX_TASKS_PER_CHILD="1")
    service.wait_for("ready", 200)
    listening = listening_inode(service.port)
    parent = Path(f"/proc/{service.process.pid}/fd")
    assert f"socket:[{listening}]" in [os.readlink(entry) for entry in parent.iterdir()]  # noqa: PTH115
    # With one task a child, the third comes from a child that was forked after the server began.
    for _ in range(3):
        held = producer.send_task("tiny.descriptors", queue="default").get(timeout=10)
        assert f"socket:[{listening}]" not in held
    assert service.probe("live")[0] == 200


def listening_inode(port: int) -> str:
    for table in ("/proc/net/tcp6", "/proc/net/tcp"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
                return fields[9]
    pytest.fail(f"nothing listens on {port}")
