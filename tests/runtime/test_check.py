"""`helm test` fails when a queue has no consumer, and waits for those that still start."""

from collections.abc import Iterator, Mapping

import pytest
from kombu.exceptions import OperationalError

from celery_runtime import check, logs


def test_a_queue_without_a_consumer_is_named_when_the_time_is_over() -> None:
    counts = {"default": 2, "email": 0}
    assert check.wait_for_consumers(lambda: counts, wait_seconds=0) == ["email"]


def test_a_worker_that_still_starts_is_waited_for() -> None:
    answers = iter([{"default": 0}, {"default": 0}, {"default": 1}])
    idle = check.wait_for_consumers(lambda: next(answers), wait_seconds=5, poll_seconds=0.001)
    assert idle == []


def test_a_broker_that_still_starts_is_waited_for() -> None:
    answers: Iterator[Mapping[str, int] | None] = iter([None, None, {"default": 1}])

    def count() -> Mapping[str, int]:
        if (answer := next(answers)) is None:
            raise OperationalError("nobody listens yet")
        return answer

    assert check.wait_for_consumers(count, wait_seconds=5, poll_seconds=0.001) == []


def test_an_unreachable_broker_is_an_error_and_not_an_idle_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object) -> dict[str, int]:
        raise OperationalError("nobody listens")

    monkeypatch.setattr(check, "consumers", unreachable)
    monkeypatch.setattr(check, "WAIT_SECONDS", 0)
    monkeypatch.setattr(logs, "install", lambda: None)
    assert check.main(["default"]) == 1
