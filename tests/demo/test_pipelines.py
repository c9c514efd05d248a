"""The scenarios of run_pipelines, on a worker in this process."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections

from shop import tasks
from shop.celery import app
from shop.models import ChordFailure, ContactSheet, Hold, Run, Thumbnail
from tests.demo.conftest import closed, free_port

pytestmark = pytest.mark.usefixtures("gateway", "_worker", "photos_dir")
SMALL = {"orders": 4, "gateway_failures": 2, "users": 1, "emails": 3}


@pytest.fixture
def beat() -> Iterator[None]:
    """Send the periodic task every half second, as beat would every ten."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.5):
            tasks.reconcile_orders.delay()
        connections.close_all()

    thread = threading.Thread(target=tick)
    thread.start()
    yield
    stop.set()
    thread.join()


def run_pipelines(**options: object) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return its exit code and the objects that it has printed."""
    out, code = StringIO(), 0
    try:
        call_command("run_pipelines", stdout=out, **options)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.usefixtures("mail_server", "beat")
def test_all_pipelines_end_with_every_effect_once() -> None:
    code, lines = run_pipelines(run="all", timeout=20, **SMALL)
    report = lines[-1]
    assert (code, report["undone"]) == (0, [])
    ticks = report["effects"].pop("ticks")
    assert ticks >= 1
    assert report["effects"] == {
        "charges": 4,
        "emails_delivered": 3,
        "thumbnails": 6,
        "contact_sheets": 2,
        "metrics": 1,
        "holds": 0,
        "chord_failures": 0,
    }
    rows = {row["task"].rpartition(".")[2]: row for row in report["rows"]}
    done = {name: (row["queue"], row["sent"], row["done"]) for name, row in rows.items()}
    assert done == {
        "charge_customer": ("high_priority", 4, 4),
        "fetch_social_metrics": ("default", 1, 1),
        "send_email": ("email", 3, 3),
        "resize_image": ("thumbnails", 6, 6),
        "combine_thumbnails": ("thumbnails", 2, 2),
    }
    assert rows["charge_customer"]["retried"] == 2
    assert sum(row["duplicates"] for row in rows.values()) == 0
    assert all(0 < row["p50_seconds"] <= row["max_seconds"] < 20 for row in rows.values())
    assert lines[0]["event"] == "sent"
    assert {line["event"] for line in lines[1:-1]} == {"progress"}
    assert lines[-2] == {
        "event": "progress",
        "sent": 16,
        "done": 16,
        "failed": 0,
        "retried": 2,
        "expected": 16,
    }


@pytest.mark.usefixtures("mail_server")
def test_a_run_without_a_tick_names_beat_as_the_cause() -> None:
    code, lines = run_pipelines(timeout=1, orders=0, gateway_failures=0, users=0, photos=0)
    (undone,) = lines[-1]["undone"]
    assert (code, undone["task"]) == (1, "shop.tasks.reconcile_orders")
    assert "is beat running?" in undone["reason"]


def test_the_error_handler_of_a_chord_records_the_cause_and_nothing_is_combined() -> None:
    code, lines = run_pipelines(scenario="chord-error", run="broken", timeout=20)
    assert (code, lines[-1]["undone"]) == (0, [])
    failure = ChordFailure.objects.get()
    assert (failure.run, failure.photo) == ("broken", "disc.jpg")
    assert "missing.png" in failure.reason
    assert not ContactSheet.objects.exists()
    rows = {row["task"]: row for row in lines[-1]["rows"]}
    handler = rows["shop.tasks.report_chord_failure"]
    assert (handler["queue"], handler["done"]) == ("default", 1)
    assert rows["shop.tasks.resize_image"]["failed"] == 1


def test_an_error_handler_that_is_early_waits_for_the_cause() -> None:
    result = tasks.report_chord_failure.delay("late", photo="set.png", run="late")
    time.sleep(0.5)
    app.backend.mark_as_failure("late", ValueError("the cause"))
    result.get(timeout=10)
    assert "the cause" in ChordFailure.objects.get().reason


def test_holds_can_be_sent_without_waiting_and_reported_later() -> None:
    code, lines = run_pipelines(
        scenario="hold", run="held", queue="email", count=2, seconds=0.2, no_wait=True
    )
    assert (code, len(lines)) == (0, 1)
    assert len(lines[0]["task_ids"]) == 2
    assert {closed(task_id).state for task_id in lines[0]["task_ids"]} == {"succeeded"}
    assert Hold.objects.count() == 2
    (row,) = report("held")["rows"]
    assert (row["queue"], row["done"], row["duplicates"]) == ("email", 2, 0)


def report(run: str) -> dict[str, Any]:
    """Return what run_report prints."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("run_report", run, stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_an_effect_that_is_repeated_shows_in_the_report() -> None:
    Run.objects.create(pk="twice", scenario="pipelines")
    send = partial(tasks.resize_image.apply_async, ("disc.jpg", "small"), {"run": "twice"})
    send(task_id="same")
    closed("same")
    send(task_id="same")
    deadline = time.monotonic() + 10
    while not Thumbnail.objects.get().duplicates:
        assert time.monotonic() < deadline, report("twice")
        time.sleep(0.05)
    (row,) = report("twice")["rows"]
    assert (row["done"], row["starts"], row["duplicates"]) == (1, 2, 1)


def test_a_run_that_the_ledger_does_not_know_is_an_error() -> None:
    with pytest.raises(CommandError, match="the ledger knows no run 'none'"):
        call_command("run_report", "none")


def test_a_run_is_not_begun_twice() -> None:
    Run.objects.create(pk="again", scenario="hold")
    with pytest.raises(CommandError, match="take another name"):
        run_pipelines(run="again")


def test_a_gateway_that_is_away_stops_the_run_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "GATEWAY_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CommandError, match="GATEWAY_URL: no answer from the gateway"):
        run_pipelines(**SMALL)


def test_metrics_are_fetched_ten_times_a_minute_at_most() -> None:
    assert tasks.fetch_social_metrics.rate_limit == "10/m"
