"""What a dead message tells, and which ones are meant."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message

from celery_runtime import sent_at
from celery_runtime.deadletter import record
from celery_runtime.deadletter.selection import Selection, duration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def message(headers: dict[str, Any], **options: Any) -> Message:  # noqa: ANN401
    return Message(headers=headers, body='[["7"], {}, {}]', **options)


def dead(**changes: Any) -> record.DeadMessage:  # noqa: ANN401
    fields = {
        "id": "1",
        "task": "shop.send_email",
        "queue": "email",
        "reason": "rejected",
        "detail": "",
        "at": NOW - timedelta(hours=1),
        "deaths": 1,
        "args": "('a',)",
        "kwargs": "{}",
        "size_bytes": 2,
    }
    return record.DeadMessage(**{**fields, **changes})


def test_a_message_that_a_worker_buried_tells_its_reason_and_when() -> None:
    died = record.death(reason="rejected", queue="email", detail="no customer")
    headers = record.with_death({"id": "1", "task": "t", "argsrepr": "()"}, died)
    found = record.read(message(headers), queue="email")
    assert (found.id, found.task, found.args) == ("1", "t", "()")
    assert (found.reason, found.detail, found.deaths) == ("rejected", "no customer", 1)
    assert found.at is not None
    assert datetime.now(UTC) - found.at < timedelta(seconds=5)


def test_rabbitmqs_own_record_of_a_death_is_read() -> None:
    deaths = [{"reason": "delivery_limit", "time": datetime(2026, 3, 1, 11), "queue": "email"}]
    found = record.read(message({"id": "1", "x-death": deaths}), queue="email")
    assert (found.reason, found.at) == ("delivery_limit", NOW - timedelta(hours=1))


def test_a_message_that_sqs_moved_died_of_its_limit() -> None:
    attributes = {"SentTimestamp": str(int(NOW.timestamp() * 1000))}
    moved = message({"id": "1"}, delivery_info={"sqs_message": {"Attributes": attributes}})
    found = record.read(moved, queue="email")
    assert (found.reason, found.at) == ("delivery_limit", NOW)


def test_a_message_of_which_nothing_can_be_read_is_shown_all_the_same() -> None:
    found = record.read(Message(body=None, headers=None), queue="email")
    assert (found.id, found.task, found.at, found.size_bytes) == ("", "", None, 0)


def test_a_message_that_is_put_back_carries_no_mark_of_its_death_but_their_number() -> None:
    died = record.death(reason="rejected", queue="email")
    headers = record.with_death({"id": "1", "expires": "2026", "retries": 2}, died)
    headers |= {"x-death": [], "x-first-death-reason": "rejected", "x-delivery-count": 4}
    put_back = record.revived(headers, by="me")
    assert abs(put_back[sent_at.HEADER] - time.time()) < 60
    assert put_back == {
        sent_at.HEADER: put_back[sent_at.HEADER],
        "id": "1",
        "expires": None,
        "retries": 2,
        record.REVIVALS: 1,
        record.REVIVED_BY: "me",
    }
    again = record.read(message(record.with_death(put_back, died)), queue="email")
    assert again.deaths == 2


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(ids=frozenset({"1", "2"})), True),
        (Selection(ids=frozenset({"2"})), False),
        (Selection(task="shop.send_email"), True),
        (Selection(task="shop.send"), False),
        (Selection(reason="delivery_limit"), False),
        (Selection(older_than=timedelta(minutes=59)), True),
        (Selection(older_than=timedelta(minutes=61)), False),
        (Selection(newer_than=timedelta(minutes=61)), True),
        (Selection(newer_than=timedelta(minutes=59)), False),
        (Selection(task="shop.send_email", reason="delivery_limit"), False),
    ],
)
def test_every_condition_must_hold(selection: Selection, matches: bool) -> None:
    assert selection.matches(dead(), NOW) is matches


def test_a_message_of_unknown_age_is_neither_old_nor_new() -> None:
    unknown = dead(at=None)
    assert not Selection(older_than=timedelta(0)).matches(unknown, NOW)
    assert not Selection(newer_than=timedelta(days=9)).matches(unknown, NOW)
    assert Selection().matches(unknown, NOW)


def test_only_a_selection_that_says_something_counts_as_one() -> None:
    assert not Selection()
    assert Selection(older_than=timedelta(0))


@given(st.integers(min_value=0, max_value=9999))
def test_a_duration_has_a_unit(number: int) -> None:
    assert duration(f"{number}m") == timedelta(minutes=number)
    assert duration(f"{number}d") == 24 * duration(f"{number}h")


@pytest.mark.parametrize("text", ["", "5", "h", "5 m", "-5m", "1.5h", "5w"])
def test_what_is_no_duration_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no duration\. Write it as in 90s, 15m, 2h or 7d\."):
        duration(text)
