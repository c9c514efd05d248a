"""Delays below a second, which RabbitMQ's delayed delivery does not have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.native_delayed_delivery import calculate_routing_key

from celery_runtime import sending

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_celery_refuses_a_delay_that_is_cut_off_to_zero() -> None:
    with pytest.raises(ValueError, match="countdown must be a positive number"):
        calculate_routing_key(int(0.5), "default")


@given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
def test_a_countdown_below_a_second_becomes_one_second(seconds: float) -> None:
    assert sending.at_least_a_second(seconds, None, NOW) == (1, None)


@pytest.mark.parametrize("seconds", [None, 0, -1, 1, 1.5, 3600])
def test_every_other_countdown_is_left_alone(seconds: float | None) -> None:
    assert sending.at_least_a_second(seconds, None, NOW) == (seconds, None)


@pytest.mark.parametrize(("left_seconds", "sent"), [(0.01, 1), (0.999, 1), (1.0, 1), (1.05, 2)])
def test_an_eta_within_a_second_is_never_early(left_seconds: float, sent: int) -> None:
    eta = NOW + timedelta(seconds=left_seconds)
    assert sending.at_least_a_second(None, eta, NOW) == (sent, None)
    assert sending.at_least_a_second(None, eta.isoformat(), NOW) == (sent, None)


@pytest.mark.parametrize("left_seconds", [-5, 0, 1.2, 90])
def test_every_other_eta_is_left_alone(left_seconds: float) -> None:
    eta = NOW + timedelta(seconds=left_seconds)
    assert sending.at_least_a_second(None, eta, NOW) == (None, eta)


def test_every_way_of_sending_a_task_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery(broker="memory://")
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *given, **_: sent.append(given[3:5]))
    sending.install(app)

    @app.task(name="t", shared=False)
    def task() -> None: ...

    task.apply_async(countdown=0.5)
    task.s().apply_async(countdown=0.5)
    app.send_task("t", countdown=0.5)
    app.send_task("t", (), {}, 0.5)
    assert sent == [(1, None)] * 4
    app.close()
