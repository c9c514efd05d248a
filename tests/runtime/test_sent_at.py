"""When a message was sent, and how long its task has waited."""

import math
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, chain, signals

from celery_runtime import configure, sent_at
from tests.runtime.conftest import Mounted


def request(sent: object, **more: object) -> Any:  # noqa: ANN401 # a request
    headers = {} if sent is None else {sent_at.HEADER: sent}
    fields: dict[str, Any] = {
        "message": SimpleNamespace(headers=headers),
        "eta": None,
        "delivery_info": {},
    }
    return SimpleNamespace(**{**fields, **more})


def test_a_wait_is_from_sending_to_start() -> None:
    assert sent_at.wait_seconds(request(100.5), started_at=102) == 1.5
    assert sent_at.wait_seconds(request(100), started_at=102.5) == 2.5


def test_a_clock_that_is_off_never_makes_a_wait_negative() -> None:
    assert sent_at.wait_seconds(request(200), started_at=100) == 0


@pytest.mark.parametrize(
    "sent", [None, "100", True, -1, 0, math.nan, [], 10**400, math.inf, -math.inf]
)
def test_what_is_no_moment_is_no_wait_or_none_at_all(sent: object) -> None:
    assert sent_at.wait_seconds(request(sent), started_at=100) in (None, 0)


def test_a_wait_that_is_meant_to_be_is_none() -> None:
    assert sent_at.wait_seconds(request(90, eta=datetime.now(UTC)), started_at=100) is None


def test_a_message_that_comes_again_has_waited_for_another() -> None:
    again = request(90, delivery_info={"redelivered": True})
    assert sent_at.wait_seconds(again, started_at=100) is None


def test_every_way_of_sending_stamps_and_sending_again_stamps_anew(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = {"broker_url": "memory://", "result_backend": "cache+memory://"}
    mounted.settings["config"] = in_memory
    mounted.write()
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
    app = Celery("stamped")
    configure(app)

    @app.task(name="stamped.task")
    def task() -> None:
        """Never runs."""

    sent: list[dict[str, Any]] = []

    def remember(headers: dict[str, Any], **_: object) -> None:
        sent.append(headers)

    signals.before_task_publish.connect(remember)
    before = time.time()
    app.send_task("stamped.task")
    task.apply_async(headers={sent_at.HEADER: 1})
    chain(task.si(), task.si()).apply_async()
    task.apply_async(countdown=5)
    signals.before_task_publish.disconnect(remember)
    assert len(sent) == 4
    assert all(before - 1 < headers[sent_at.HEADER] < time.time() + 1 for headers in sent)
