"""Tokens from a bucket that all workers share."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Retry
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from celery_runtime import TaskDefinitionError, TokenBucket
from celery_runtime.coordination import ratelimit
from celery_runtime.coordination.ratelimit import SLOT_HEADER, Slot
from celery_runtime.coordination.store import Store
from tests.runtime.coordination.delivery import deliver, delivering_app, sent


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    with delivering_app(f"{redis_url}/0") as app:
        yield app


@pytest.fixture
def tokens(app: Celery) -> Iterator[Store]:
    with Redis.from_url(app.conf.redbeat_redis_url) as client:
        yield Store(client, app.main)


def mail(app: Celery, bucket: TokenBucket) -> Task:
    @app.task(name="mail", shared=False, max_retries=0)
    @bucket
    def mail(to: str) -> str:
        return to

    task: Task = mail
    return task


@pytest.mark.parametrize(
    ("rate", "seconds"), [("1/s", 1), ("100/s", 0.01), ("10/m", 6), ("6/h", 600)]
)
def test_a_rate_is_a_number_per_second_minute_or_hour(rate: str, seconds: float) -> None:
    assert ratelimit.interval_seconds("", rate) == seconds


@pytest.mark.parametrize("rate", ["", "10", "0/s", "-1/s", "10/min", "1.5/s", "10/d", " 1/s"])
def test_another_rate_is_refused_with_the_accepted_forms(rate: str) -> None:
    with pytest.raises(TaskDefinitionError, match=r"TokenBucket\('smtp'\): .*100/s.*10/m.*6/h"):
        TokenBucket("smtp", rate=rate, burst=1)


@pytest.mark.parametrize("options", [{"burst": 0}, {"burst": 1, "when_away": "fail"}])
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TaskDefinitionError, match=r"TokenBucket\('smtp'\): "):
        TokenBucket("smtp", rate="1/s", **options)


def test_a_second_bucket_for_a_task_is_refused(app: Celery) -> None:
    one, other = (TokenBucket(name, rate="1/s", burst=1) for name in ("smtp", "domain"))
    with pytest.raises(TaskDefinitionError, match=r"mail: a second TokenBucket"):
        mail(app, lambda function: other(one(function)))  # type: ignore[arg-type]


def test_after_the_burst_slots_are_one_interval_apart(tokens: Store) -> None:
    bucket = TokenBucket("smtp", rate="1/s", burst=3)
    before = time.monotonic()
    waits = [bucket.ask(tokens).wait_seconds for _ in range(6)]
    took_seconds = time.monotonic() - before
    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == pytest.approx([1, 2, 3], abs=took_seconds)


def test_an_empty_bucket_fills_at_its_rate(tokens: Store) -> None:
    bucket = TokenBucket("smtp", rate="5/s", burst=2)
    while bucket.ask(tokens).wait_seconds == 0:
        pass
    # The slot that was just reserved, and one more.
    time.sleep(0.4 + 0.1)
    assert bucket.ask(tokens).wait_seconds == 0


def test_a_slot_beyond_the_horizon_is_not_reserved(tokens: Store) -> None:
    bucket = TokenBucket("api", rate="2/m", burst=1)
    waits = [bucket.ask(tokens) for _ in range(6)]
    assert [bool(slot.reserved_at) for slot in waits] == [True, True, True, False, False, False]
    assert waits[5].wait_seconds == pytest.approx(90, abs=5)


def test_a_reservation_is_honoured_and_asks_for_nothing_more(tokens: Store) -> None:
    bucket = TokenBucket("smtp", rate="10/s", burst=1)
    bucket.ask(tokens)
    slot = bucket.ask(tokens)
    time.sleep(slot.wait_seconds)
    assert bucket.ask(tokens, reserved=slot.reserved_at).wait_seconds == 0
    assert bucket.ask(tokens).wait_seconds <= 0.1


def late(tokens: Store, bucket: TokenBucket, count: int) -> list[int]:
    """Reservations whose slots are long past."""
    return [bucket.ask(tokens).reserved_at - 60_000_000 for _ in range(count)]


def test_late_reservations_run_while_the_rate_of_all_runs_allows_it(
    tokens: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratelimit, "GRACE_SECONDS", 2)
    bucket = TokenBucket("smtp", rate="10/s", burst=1)
    began = time.monotonic()
    waits = [bucket.ask(tokens, reserved=each).wait_seconds for each in late(tokens, bucket, 40)]
    passed = time.monotonic() - began
    # Two seconds' worth at once, and what the rate allows meanwhile.
    assert waits[:20] == [0] * 20
    assert waits.count(0) <= 22 + 10 * passed
    # The others get slots behind what is reserved, which is four seconds' worth.
    assert min(wait for wait in waits if wait) > 3.5 - passed


def test_each_key_has_a_bucket_of_its_own(app: Celery) -> None:
    bucket = TokenBucket("smtp", rate="1/m", burst=1, key=lambda to: to.partition("@")[2])
    task = mail(app, bucket)
    assert deliver(task, "a@one") == "a@one"
    assert deliver(task, "b@two") == "b@two"
    assert isinstance(deliver(task, "c@one"), Retry)


def test_a_task_without_a_token_is_put_back_until_its_slot(app: Celery) -> None:
    task = mail(app, TokenBucket("smtp", rate="10/m", burst=1))
    assert deliver(task, "first") == "first"
    ended = deliver(task, "second", id="mine")
    assert str(ended) == "No token in smtp. Put back for 6 s."
    [message] = sent(app, "default")
    assert (message.headers["id"], message.headers["retries"]) == ("mine", 0)
    assert deliver(task, "second", **message.headers) == "second"


def test_a_reservation_is_used_once_and_other_headers_stay(app: Celery) -> None:
    @app.task(bind=True, name="again", shared=False, max_retries=5)
    @TokenBucket("smtp", rate="1/s", burst=1)
    def again(self: Task) -> None:
        self.retry(countdown=1)

    soon = int((time.time() + 1) * 1_000_000)
    deliver(again, **{SLOT_HEADER: soon, "trace": "user's own"})
    [message] = sent(app, "default")
    assert SLOT_HEADER not in message.headers
    assert message.headers["trace"] == "user's own"
    assert message.headers["retries"] == 1


def test_beyond_the_horizon_a_task_is_put_back_without_a_reservation(app: Celery) -> None:
    task = mail(app, TokenBucket("api", rate="6/h", burst=1))
    deliver(task, "first")
    assert isinstance(deliver(task, "second"), Retry)
    [message] = sent(app, "default")
    assert SLOT_HEADER not in message.headers


@given(st.floats(61, 10_000), st.floats(0, 1))
def test_who_has_no_reservation_asks_again_while_a_slot_may_be_reserved(
    wait_seconds: float, chance: float
) -> None:
    slot = Slot(reserved_at=0, wait_seconds=wait_seconds)
    delay = ratelimit.delay_seconds(slot, chance=lambda: chance)
    assert wait_seconds - 30 <= delay <= wait_seconds


def test_a_call_without_a_message_is_not_limited(app: Celery) -> None:
    task = mail(app, TokenBucket("smtp", rate="1/h", burst=1))
    assert [task("direct") for _ in range(3)] == ["direct"] * 3
    assert task.apply(("eager",)).get() == "eager"
    assert deliver(task, "first") == "first"


@pytest.mark.parametrize(("when_away", "kept"), [("refuse", 1), ("run", 0)])
def test_without_redis_a_task_does_what_was_declared(when_away: Any, kept: int) -> None:  # noqa: ANN401
    with delivering_app("redis://127.0.0.1:1/0") as app:
        task = mail(app, TokenBucket("smtp", rate="1/s", burst=1, when_away=when_away))
        assert (deliver(task, "to") == "to") is (kept == 0)
        assert len(sent(app, "default")) == kept


def test_celery_still_checks_the_arguments_of_a_call(app: Celery) -> None:
    task = mail(app, TokenBucket("smtp", rate="1/s", burst=1))
    with pytest.raises(TypeError):
        task.apply_async(("to", "too many"))
