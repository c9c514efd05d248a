"""The page of a worker, and everything that somebody else might write instead."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_exporter.fleet.asking import UnansweredError, ask
from celery_exporter.fleet.page import parse
from tests.exporter.fleet.workers import FakeWorker

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> bytes:
    """What a worker's own server writes."""
    worker = FakeWorker("pod-1")
    worker.work()
    worker.fail("ValueError")
    return ask("127.0.0.1", worker.port, after=0)


def test_what_a_worker_writes_is_read(written: bytes) -> None:
    page = parse(written)
    assert (page.worker, page.slots, page.last) == ("io@pod-1", 4, 2)
    assert list(page.tasks) == [("shop.email", "email")]
    assert [ended.name for ended in page.ended.values()] == ["shop.email"] * 2


def test_every_key_is_needed(written: bytes) -> None:
    for key in json.loads(written):
        answer = json.loads(written)
        del answer[key]
        with pytest.raises(UnansweredError, match=key):
            parse(json.dumps(answer).encode())


def _set(*path: Any) -> Callable[[Answer, object], None]:  # noqa: ANN401
    def put(answer: Answer, value: object) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return put


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("worker",), 7),
        (("start",), None),
        (("seconds",), "1"),
        (("seconds",), -1),
        (("slots",), True),
        (("slots",), 1.5),
        (("slots",), -1),
        (("slots",), 10**16),
        (("draining",), 0),
        (("queues",), {"email": 1}),
        (("queues",), [7]),
        (("running",), [["shop.email", "email"]]),
        (("running",), [["shop.email", "email", -1]]),
        (("running",), 7),
        (("fetched",), {"email": -1}),
        (("fetched",), []),
        (("tasks",), {}),
        (("tasks", 0), 7),
        (("tasks", 0, "name"), []),
        (("tasks", 0, "received"), -1),
        (("tasks", 0, "received"), True),
        (("tasks", 0, "failures"), {"ValueError": 0.5}),
        (("tasks", 0, "runtime", "counts"), [1]),
        (("tasks", 0, "runtime", "counts", 0), -1),
        (("tasks", 0, "runtime", "counts"), []),
        (("tasks", 0, "runtime", "sum"), None),
        (("tasks", 0, "wait"), {}),
        (("ended",), []),
        (("ended", "last"), "1"),
        (("ended", "tasks", 0), [1, "shop.email", "email", 1]),
        (("ended", "tasks", 0, 3), -0.1),
        (("ended", "tasks", 0, 4), "long"),
    ],
)
def test_a_value_that_no_worker_writes_is_refused_with_the_page(
    written: bytes, path: tuple[Any, ...], value: object
) -> None:
    answer = json.loads(written)
    _set(*path)(answer, value)
    with pytest.raises(UnansweredError, match="not the page of a worker"):
        parse(json.dumps(answer).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with pytest.raises(UnansweredError):
        parse(body)


def test_the_reason_is_short_however_long_the_page_is(written: bytes) -> None:
    answer = json.loads(written)
    answer["tasks"][0]["runtime"]["counts"] = [-1] * 100_000
    with pytest.raises(UnansweredError) as error:
        parse(json.dumps(answer).encode())
    assert len(str(error.value)) < 300
