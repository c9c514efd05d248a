"""Once in effect: what the first run leaves, and what the others do with it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Ignore, Reject, Retry
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime import (
    DuplicateInFlightError,
    ResultNotStorableError,
    StoreAwayError,
    TaskDefinitionError,
    once,
)
from tests.runtime.coordination.delivery import deliver, delivering_app, sent

LEASE_SECONDS = 0.5
NOTHING_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    with delivering_app(f"{redis_url}/0") as app:
        yield app


@pytest.fixture
def redis(app: Celery) -> Iterator[Redis]:
    with Redis.from_url(app.conf.redbeat_redis_url, decode_responses=True) as client:
        yield client


class Work:
    """A task, what it is to do, and how often it did it."""

    def __init__(self, app: Celery, does: Callable[[], object], **options: Any) -> None:  # noqa: ANN401
        self.runs = 0
        protect = once(key="charge:{order_id}", **{"ttl_seconds": 60, **options})

        @app.task(name="charge", shared=False, max_retries=0)
        @protect
        def charge(order_id: int) -> object:  # noqa: ARG001 # the key reads it
            self.runs += 1
            return does()

        self.task: Task = charge
        self.lock = f"{app.main}:lock:charge:charge:7"
        self.result = f"{app.main}:once:charge:charge:7"


def fail(error: BaseException) -> Callable[[], None]:
    def does() -> None:
        raise error

    return does


def test_the_second_call_gets_the_first_ones_result_and_does_not_run(app: Celery) -> None:
    work = Work(app, lambda: {"reference": "ch_1"})
    assert deliver(work.task, 7) == deliver(work.task, 7) == {"reference": "ch_1"}
    assert work.runs == 1
    deliver(work.task, 8)
    assert work.runs == 2


def test_a_result_is_kept_for_its_time_and_the_lock_not_at_all(app: Celery, redis: Redis) -> None:
    work = Work(app, lambda: None, ttl_seconds=90)
    deliver(work.task, 7)
    assert redis.get(work.result) == '{"result": null}'
    assert 88_000 < redis.pttl(work.result) <= 90_000
    assert not redis.exists(work.lock)
    assert deliver(work.task, 7) is None
    assert not redis.exists(work.lock)
    assert work.runs == 1


@pytest.mark.parametrize("error", [ValueError(), Retry(), Ignore(), Reject()])
def test_a_run_that_raises_leaves_nothing_so_that_it_can_be_tried_again(
    app: Celery, redis: Redis, error: Exception
) -> None:
    work = Work(app, fail(error))
    for _ in range(2):
        assert isinstance(deliver(work.task, 7), type(error))
    assert work.runs == 2
    assert not redis.exists(work.lock, work.result)


def test_a_result_that_is_not_json_is_named_and_the_work_is_not_done_again(app: Celery) -> None:
    work = Work(app, object)
    for _ in range(2):
        ended = deliver(work.task, 7)
        assert isinstance(ended, ResultNotStorableError)
        assert str(ended).startswith("charge has done its work, but its result cannot be stored")
        assert "Return plain data" in str(ended)
    assert work.runs == 1


def test_a_direct_call_is_done_once_too(app: Celery) -> None:
    work = Work(app, lambda: 5)
    assert work.task(7) == work.task(7) == work.task.apply((7,)).get() == deliver(work.task, 7) == 5
    assert work.runs == 1


def hold(redis: Redis, work: Work, task_id: str) -> None:
    redis.set(work.lock, f"{task_id}/token", px=60_000)


def test_a_duplicate_that_waits_gets_the_result_of_the_run_that_it_waited_for(
    app: Celery,
) -> None:
    begun, finish = threading.Event(), threading.Event()

    def does() -> str:
        begun.set()
        assert finish.wait(10)
        return "done"

    work = Work(app, does, in_flight="wait", wait_seconds=10)
    ended: list[Any] = []
    runs = [threading.Thread(target=lambda: ended.append(deliver(work.task, 7))) for _ in range(4)]
    for run in runs:
        run.start()
    assert begun.wait(10)
    finish.set()
    for run in runs:
        run.join(10)
    assert ended == ["done"] * 4
    assert work.runs == 1


@pytest.mark.parametrize(
    ("options", "waited_seconds"), [({"wait_seconds": 0.3}, 0.3), ({"in_flight": "retry"}, 0)]
)
def test_a_duplicate_is_put_back_and_uses_up_no_retry(
    app: Celery, redis: Redis, options: dict[str, Any], waited_seconds: float
) -> None:
    work = Work(app, lambda: 1, retry_seconds=4, **options)
    hold(redis, work, "another")
    before = time.monotonic()
    ended = deliver(work.task, 7, id="mine", retries=0)
    assert time.monotonic() - before >= waited_seconds / 2
    assert isinstance(ended, Retry)
    assert "charge:7: another run of it has not ended yet. Put back for 4 s." in str(ended)
    [message] = sent(app, "default")
    assert (message.headers["id"], message.headers["retries"]) == ("mine", 0)
    assert work.runs == 0


def test_a_duplicate_that_is_declared_so_rejects_itself(app: Celery, redis: Redis) -> None:
    work = Work(app, lambda: 1, in_flight="reject")
    hold(redis, work, "another")
    assert isinstance(deliver(work.task, 7), DuplicateInFlightError)
    assert not sent(app, "default")


def test_a_duplicate_takes_a_result_that_is_there_while_another_one_reads_it(
    app: Celery, redis: Redis
) -> None:
    work = Work(app, lambda: "second", in_flight="reject")
    hold(redis, work, "another")
    redis.set(work.result, '{"result": "first"}')
    assert deliver(work.task, 7) == "first"
    assert redis.get(work.lock) == "another/token"


def test_a_message_is_no_duplicate_of_itself_when_its_worker_was_killed(
    app: Celery, redis: Redis
) -> None:
    work = Work(app, lambda: 1, in_flight="reject")
    hold(redis, work, "mine")
    assert isinstance(deliver(work.task, 7, id="mine"), Retry)
    assert len(sent(app, "default")) == 1


@pytest.mark.parametrize("in_flight", ["retry", "reject"])
def test_a_direct_call_beside_a_run_is_an_error(app: Celery, redis: Redis, in_flight: str) -> None:
    work = Work(app, lambda: 1, in_flight=in_flight)
    hold(redis, work, "another")
    with pytest.raises(DuplicateInFlightError):
        work.task(7)


def test_the_lock_outlives_its_lease_while_the_work_goes_on(app: Celery, redis: Redis) -> None:
    seen = []

    def does() -> None:
        for _ in range(8):
            time.sleep(LEASE_SECONDS / 4)
            seen.append(redis.exists(work.lock))

    work = Work(app, does, lease_seconds=LEASE_SECONDS)
    deliver(work.task, 7)
    assert seen == [1] * 8


def lost(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "ERROR"]


def test_a_lost_lock_is_said_once_and_the_result_keeps_duplicates_from_running(
    app: Celery, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def does() -> str:
        redis.delete(work.lock)
        time.sleep(LEASE_SECONDS)
        return "done"

    work = Work(app, does, lease_seconds=LEASE_SECONDS)
    assert deliver(work.task, 7) == deliver(work.task, 7) == "done"
    [line] = lost(caplog)
    assert line.startswith(f"{work.lock}: the lock was lost before the work was done.")
    assert work.runs == 1


def test_a_result_is_not_stored_under_the_lock_of_another_run(
    app: Celery, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(app, lambda: hold(redis, work, "another"))
    deliver(work.task, 7)
    assert len(lost(caplog)) == 1
    assert redis.get(work.lock) == "another/token"
    assert not redis.exists(work.result)


def test_a_result_that_another_run_has_left_stays(
    app: Celery, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def does() -> str:
        redis.delete(work.lock)
        redis.set(work.result, '{"result": "first"}')
        return "second"

    work = Work(app, does)
    assert deliver(work.task, 7) == "second"
    assert deliver(work.task, 7) == "first"
    assert len(lost(caplog)) == 1


@pytest.fixture
def lonely() -> Iterator[Celery]:
    with delivering_app(NOTHING_LISTENS) as app:
        yield app


def test_without_redis_a_task_is_refused_and_put_back(
    lonely: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(lonely, lambda: 1)
    ended = [deliver(work.task, 7, id=str(each)) for each in range(5)]
    assert all(isinstance(each, Retry) and 5 <= each.when <= 10 for each in ended)
    assert sorted(message.headers["id"] for message in sent(lonely, "default")) == list("01234")
    voiced = [
        record for record in caplog.records if record.name == "celery_runtime.coordination.store"
    ]
    assert [record.levelname for record in voiced] == ["WARNING"]
    assert work.runs == 0
    with pytest.raises(StoreAwayError):
        work.task(7)


def test_without_redis_a_task_that_is_declared_so_runs(lonely: Celery) -> None:
    work = Work(lonely, lambda: "done", when_away="run")
    assert deliver(work.task, 7) == "done"
    assert not sent(lonely, "default")


def test_work_that_is_done_is_a_success_when_redis_has_gone(
    app: Celery, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise RedisConnectionError("refused")

    def does() -> str:
        # From here on no command is answered.
        monkeypatch.setattr("redis.Redis.execute_command", gone)
        return "done"

    work = Work(app, does, lease_seconds=LEASE_SECONDS)
    assert deliver(work.task, 7) == "done"
    [line] = lost(caplog)
    assert "its result is not stored. A duplicate would do the work again." in line
    assert not sent(app, "default")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ttl_seconds": 0}, r"ttl_seconds=0 must be above zero"),
        ({"lease_seconds": -1}, r"lease_seconds=-1 must be above zero"),
        ({"retry_seconds": 0}, r"retry_seconds=0 must be above zero"),
        ({"wait_seconds": 0}, r"wait_seconds=0 must be above zero"),
        ({"in_flight": "drop"}, r"in_flight='drop' is not known. Write one of wait, retry, reject"),
        ({"when_away": "fail"}, r"when_away='fail' is not known. Write one of refuse, run"),
        ({"in_flight": "retry", "wait_seconds": 5}, r'a meaning only with in_flight="wait"'),
    ],
)
def test_an_option_that_cannot_work_is_refused_when_the_task_is_defined(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(TaskDefinitionError, match=problem):
        once(key="nightly", **{"ttl_seconds": 60, **options})


def test_celery_still_checks_the_arguments_of_a_call(app: Celery) -> None:
    work = Work(app, lambda: 1)
    with pytest.raises(TypeError):
        work.task.apply_async((7, "too many"))
