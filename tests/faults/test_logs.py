"""What is kept of logs, and found in them: the scripts of the nodes, on files as kubelet makes."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.logs import between, keeping, mentions

WORKER = """2026-01-01T10:00:01.5Z stdout F {"task_id": "t-1", "message": "received"}
2026-01-01T10:00:03.5Z stdout F {"task_id": "t-2", "message": "received"}
"""
BROKER = """2026-01-01T10:00:00.5Z stdout F too early
2026-01-01T10:00:02.5Z stdout F an election
2026-01-01T10:00:09.5Z stdout F too late
"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The logs of two pods, one of which is gone, and of another namespace."""
    pods, kept = tmp_path / "pods", tmp_path / "kept"
    kept.mkdir()
    write(pods / "shop_worker-a_1/worker/0.log", WORKER)
    write(pods / "shop_jobs-rabbitmq-0_2/rabbitmq/0.log", "")
    write(pods / "other_jobs-rabbitmq-0_3/rabbitmq/0.log", BROKER)
    run(keeping(str(pods), str(kept), "shop"))
    (pods / "shop_worker-a_1/worker/0.log").unlink()
    # What is written afterwards is kept, too.
    write(pods / "shop_jobs-rabbitmq-0_2/rabbitmq/0.log", BROKER)
    run(keeping(str(pods), str(kept), "shop"))
    return kept


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as log:
        log.write(text)


def run(script: str) -> list[str]:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_lines_that_name_a_task_are_found_when_its_pod_is_gone(kept: Path) -> None:
    said = '2026-01-01T10:00:01.5Z shop_worker-a_1 {"task_id": "t-1", "message": "received"}'
    assert run(mentions(str(kept), "t-1")) == [said]
    assert run(mentions(str(kept), "t-3")) == []


def test_the_broker_is_heard_from_one_time_to_another(kept: Path) -> None:
    begin, end = (datetime(2026, 1, 1, 10, 0, second, tzinfo=UTC) for second in (1, 5))
    said = ["2026-01-01T10:00:02.5Z shop_jobs-rabbitmq-0_2 an election"]
    assert run(between(str(kept), "rabbitmq", begin, end)) == said
