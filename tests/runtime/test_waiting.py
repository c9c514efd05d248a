"""Results in Redis: who waits for one subscribes to it, who only sends the task does not."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from weakref import ref

import pytest
from celery import Celery, chord, group
from celery.result import AsyncResult, ResultSet
from redis import Redis

from celery_runtime import configure
from tests.runtime.conftest import Mounted, wait_until
from tests.runtime.redisserver import RedisServer

TASK = "nobody.runs"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with closing(Redis.from_url(redis_url)) as client:
        yield client


def test_who_only_sends_is_no_subscriber(producer: Celery, redis: Redis) -> None:
    sent = [producer.send_task(TASK) for _ in range(20)]
    channels = {producer.backend.get_key_for_task(result.id) for result in sent}
    assert not channels & set(redis.pubsub_channels())


def test_who_sends_groups_and_chords_neither_subscribes_nor_keeps_their_results(
    producer: Celery, redis: Redis
) -> None:
    task = producer.signature(TASK, immutable=True)

    def send() -> dict[bytes, ref[AsyncResult]]:
        made = [group([task, task | group([task, task])])(), chord([task, task])(task).parent]
        sent = [single for each in made for single in flat(each)]
        return {producer.backend.get_key_for_task(each.id): ref(each) for each in sent}

    sent = send()
    assert len(sent) == 5
    assert not sent.keys() & set(redis.pubsub_channels())
    gc.collect()
    assert not any(each() for each in sent.values())


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's
@pytest.mark.parametrize("join", [False, True])
def test_a_group_s_results_come_whether_they_were_there_before_or_come_later(
    producer: Celery, redis: Redis, join: bool
) -> None:
    task = producer.signature(TASK, immutable=True)
    sent = group([task, task | group([task, task])])()
    first, *others = flat(sent)
    channel = producer.backend.get_key_for_task(others[0].id)
    producer.backend.store_result(first.id, 0, "SUCCESS")
    with ThreadPoolExecutor() as beside:
        waiting = beside.submit(sent.join if join else sent.get, timeout=20)
        wait_until(lambda: channel in redis.pubsub_channels(), "somebody waits")
        for number, each in enumerate(others, 1):
            producer.backend.store_result(each.id, number, "SUCCESS")
        assert waiting.result() == [0, [1, 2]]


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's
def test_what_is_to_be_done_then_is_done_when_all_of_a_group_have_come(producer: Celery) -> None:
    task = producer.signature(TASK)
    called: list[ResultSet] = []
    sent = group([task, task])()
    sent.then(called.append)
    for each in sent.results:
        producer.backend.store_result(each.id, 1, "SUCCESS")
    assert sent.get(timeout=20) == [1, 1]
    assert called == [sent]


def flat(results: ResultSet) -> list[AsyncResult]:
    """The single results of a set, those of sets in it, too."""
    return [
        single
        for each in results.results
        for single in (flat(each) if isinstance(each, ResultSet) else [each])
    ]


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's
def test_a_result_comes_whether_it_was_there_before_or_comes_later(
    producer: Celery, redis: Redis
) -> None:
    early, late = producer.send_task(TASK), producer.send_task(TASK)
    producer.backend.store_result(early.id, 1, "SUCCESS")
    channel = producer.backend.get_key_for_task(late.id)
    with ThreadPoolExecutor() as beside:
        waiting = beside.submit(late.get, timeout=20)
        wait_until(lambda: channel in redis.pubsub_channels(), "somebody waits")
        producer.backend.store_result(late.id, 2, "SUCCESS")
        assert waiting.result() == 2
    assert early.get(timeout=20) == 1


def test_a_task_is_sent_while_the_store_of_results_is_away(
    reachable: Mounted, frail_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reachable.secret("results/url", f"{frail_redis.url}/0")
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(reachable.path))
    with Celery("sends") as app:
        configure(app)
        task = app.send_task(TASK)
        with app.connection_for_read() as connection, connection.SimpleQueue("default") as queue:
            message = queue.get(timeout=5)
            message.ack()
            assert message.headers["id"] == task.id
