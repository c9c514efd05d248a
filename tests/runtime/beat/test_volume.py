"""Beat with its schedule in a file: no Redis, and the same promises."""

import pickle
import shelve
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from celery_runtime import configure
from celery_runtime.beat.volume import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.runtime.conftest import Mounted, Service, Start
    from tests.runtime.redisserver import RedisServer

HOURLY = {"task": "tiny.work", "every": 3600, "queue": "email", "args": [0]}
NIGHTLY = {"task": "tiny.fail", "cron": "0 3 * * *", "queue": "email"}
OUTAGE_SECONDS = 5
OFTEN = {"task": "tiny.work", "every": 1, "queue": "email", "args": [1]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The schedule's file on its volume."""
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume" / "schedule"


@pytest.fixture
def on_volume(
    beat: "Start", file: Path, mounted: "Mounted", frail_redis: "RedisServer"
) -> "Callable[[], Service]":
    """Starts beat on that file; its broker is not there yet, and no Redis ever is."""
    mounted.settings["config"] = {"broker_url": f"{frail_redis.url}/0"}
    mounted.settings["beat"] = {"schedule": {"hourly": HOURLY, "nightly": NIGHTLY}}
    mounted.write()
    return lambda: beat(f"--schedule={file}", store="volume")


def last_ran(file: Path, name: str, *, days_ago: int) -> None:
    with shelve.open(str(file), writeback=True) as stored:  # noqa: S301 # our own
        moment = datetime.now(UTC) - timedelta(days=days_ago)
        stored["entries"][name].last_run_at = moment


def sent(service: "Service") -> list[str]:
    """The entries that a beat has sent, or tried to."""
    return sorted(name for _, name in service.sends())


def assert_no_burst(*services: "Service") -> None:
    """What is due each second is never sent in quick succession, whatever was missed."""
    times = [time for service in services for time, _ in service.sends()]
    assert min(b - a for a, b in pairwise(times)) > timedelta(seconds=0.8)


def test_what_was_missed_is_sent_once_and_remembered_through_a_kill(
    on_volume: "Callable[[], Service]", file: Path, frail_redis: "RedisServer"
) -> None:
    frail_redis.start()
    first = on_volume()
    assert first.wait_for("ready", 200) == "ticking"
    assert first.stop() == 0
    assert sent(first) == []

    last_ran(file, "hourly", days_ago=2)
    last_ran(file, "nightly", days_ago=3)
    second = on_volume()
    second.wait_for_line(message="Scheduler: Sending due task hourly (tiny.work)")
    second.wait_for_line(message="Scheduler: Sending due task nightly (tiny.fail)")
    second.wait_for("ready", 200)
    second.process.kill()
    assert sent(second) == ["hourly", "nightly"]

    third = on_volume()
    third.wait_for("ready", 200)
    time.sleep(1)
    assert third.stop() == 0
    assert sent(third) == []


def test_a_second_beat_on_the_same_node_waits_alive_but_not_ready(
    on_volume: "Callable[[], Service]", frail_redis: "RedisServer"
) -> None:
    frail_redis.start()
    first = on_volume()
    first.wait_for("ready", 200)
    second = on_volume()
    assert second.wait_for("live", 200).startswith("waiting for the ")
    time.sleep(1)
    assert second.probe("ready") == (503, "waiting for the lock that another beat holds")
    assert first.probe("ready") == (200, "ticking")
    first.process.kill()
    assert second.wait_for("ready", 200) == "ticking"


def test_what_is_due_while_the_broker_is_away_is_sent_once_when_it_is_there(
    on_volume: "Callable[[], Service]", file: Path, frail_redis: "RedisServer"
) -> None:
    frail_redis.start()
    first = on_volume()
    first.wait_for("ready", 200)
    assert first.stop() == 0
    last_ran(file, "hourly", days_ago=2)
    frail_redis.stop()

    second = on_volume()
    second.wait_for_line(logger="celery_runtime.beat.patient", level="WARNING")
    assert second.wait_for("ready", 503) == "waiting for the broker"
    assert second.probe("live")[0] == 200
    frail_redis.start()
    second.wait_for("ready", 200)
    assert second.stop() == 0
    assert frail_redis.length("email") == 1


def test_what_falls_due_in_an_outage_of_the_broker_is_sent_once_after_it(
    on_volume: "Callable[[], Service]", mounted: "Mounted", frail_redis: "RedisServer"
) -> None:
    mounted.settings["beat"] = {"schedule": {"often": OFTEN}}
    mounted.write()
    frail_redis.start()
    service = on_volume()
    service.wait_for_line(message="Scheduler: Sending due task often (tiny.work)")
    frail_redis.stop()
    assert service.wait_for("ready", 503) == "waiting for the broker"
    time.sleep(OUTAGE_SECONDS)
    frail_redis.start()
    before = len(sent(service)), frail_redis.length("email")
    service.wait_for_sends(before[0] + 3)
    assert service.stop() == 0
    assert frail_redis.length("email") > before[1]
    assert_no_burst(service)


def test_what_the_broker_did_not_take_stays_due(
    mounted: "Mounted", file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted.settings["beat"] = {"schedule": {"hourly": HOURLY}}
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.write()))
    app = Celery(set_as_current=False)
    configure(app)
    scheduler = Scheduler(app, schedule_filename=str(file))
    scheduler.producer = object()
    scheduler.schedule["hourly"].last_run_at = datetime.now(UTC) - timedelta(days=2)
    answers = iter([OperationalError("away"), None])
    attempts: list[str] = []

    def send_task(name: str, *_: object, **__: object) -> None:
        attempts.append(name)
        if error := next(answers):
            raise error

    monkeypatch.setattr(scheduler, "send_task", send_task)
    with closing(scheduler):
        for number in (1, 2, 2):
            scheduler.tick()
            assert len(attempts) == number


class Kept(dict[bytes, bytes]):
    """A database as dbm.ndbm is: what it is given is in its file once it is closed, not before."""

    def __init__(self, file: Path) -> None:
        super().__init__(pickle.loads(file.read_bytes()) if file.exists() else {})  # noqa: S301
        self.file = file

    def close(self) -> None:
        """Write all of it."""
        self.file.write_bytes(pickle.dumps(dict(self)))


def test_an_entry_is_written_down_before_it_is_sent_by_a_database_that_waits_for_its_end(
    mounted: "Mounted", file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: str, *, writeback: bool) -> "shelve.Shelf[Any]":
        return shelve.Shelf(Kept(Path(name)), writeback=writeback)

    mounted.settings["beat"] = {"schedule": {"hourly": HOURLY}}
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.write()))
    monkeypatch.setattr(Scheduler, "persistence", SimpleNamespace(open=opened))
    app = Celery(set_as_current=False)
    configure(app)
    scheduler = Scheduler(app, schedule_filename=str(file))
    scheduler.producer = object()
    with closing(scheduler):
        scheduler.reserve(scheduler.schedule["hourly"])
        assert opened(str(file), writeback=False)["entries"]["hourly"].total_run_count == 1


def test_a_volume_that_cannot_be_written_is_named(beat: "Start", mounted: "Mounted") -> None:
    mounted.settings["config"] = {}
    mounted.write()
    service = beat("--schedule=/proc/schedule", store="volume")
    assert service.process.wait(timeout=20) == 1
    (line,) = [line for line in service.lines() if line["level"] == "CRITICAL"]
    assert "The schedule cannot be kept in /proc: " in line["message"]
