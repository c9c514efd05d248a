"""What a message keeps when it is put back."""

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from celery import Celery, Task
from celery.app.amqp import Exchange
from celery.exceptions import Reject, Retry

from celery_runtime.brokers.rabbitmq import RabbitMQ
from celery_runtime.coordination.putback import put_back
from celery_runtime.queues import delivered_from
from tests.runtime.coordination.delivery import deliver, delivering_app, sent

LINK = {"task": "after", "args": [], "kwargs": {}, "options": {}, "immutable": True}


@pytest.fixture
def app() -> Iterator[Celery]:
    with delivering_app("redis://127.0.0.1:1/0") as app:
        yield app


@pytest.fixture
def later(app: Celery) -> Task:
    @app.task(bind=True, name="later", shared=False, max_retries=0, autoretry_for=(Exception,))
    def later(self: Task, delay_seconds: float) -> NoReturn:
        put_back(self, delay_seconds=delay_seconds, reason="Not now.", headers={"mark": 5})

    return later


def test_a_message_that_is_put_back_is_the_same_message(app: Celery, later: Task) -> None:
    headers = {
        "id": "a1",
        "root_id": "r1",
        "parent_id": "p1",
        "group": "g1",
        "group_index": 3,
        "retries": 2,
        "expires": "2126-01-01T00:00:00+00:00",
        "timelimit": [60, 50],
        "shadow": "other name",
        "ignore_result": True,
        "trace": "user's own",
    }
    embedded: dict[str, Any] = {
        "callbacks": [LINK],
        "errbacks": [LINK],
        "chain": [LINK],
        "chord": LINK,
    }
    email = {"exchange": "email", "routing_key": "email", "priority": 3}
    ended = deliver(later, 2.1, **headers, **embedded, delivery_info=email)
    assert isinstance(ended, Retry)
    assert str(ended) == "Not now. Put back for 3 s."
    [message] = sent(app, "email")
    assert {name: message.headers[name] for name in headers} == headers
    assert message.headers["mark"] == 5
    assert message.headers["task"] == "later"
    assert message.properties["correlation_id"] == "a1"
    assert message.properties["priority"] == 3
    args, kwargs, embed = message.decode()
    assert (args, kwargs, embed) == ([2.1], {}, embedded)


def test_a_task_without_a_parent_does_not_become_its_own(app: Celery, later: Task) -> None:
    deliver(later, 1, id="a1", root_id="a1", parent_id=None)
    [message] = sent(app, "default")
    assert message.headers["parent_id"] is None


@pytest.mark.parametrize("ignored", [True, False])
def test_a_result_that_somebody_wants_is_still_wanted(
    app: Celery, later: Task, ignored: bool
) -> None:
    deliver(later, 1, ignore_result=ignored)
    [message] = sent(app, "default")
    assert message.headers["ignore_result"] is ignored


@pytest.mark.parametrize(("delay", "countdown"), [(0, 1), (0.2, 1), (1, 1), (1.01, 2), (59.2, 60)])
def test_a_delay_is_whole_seconds_and_never_shorter(
    later: Task, delay: float, countdown: int
) -> None:
    ended = deliver(later, delay)
    assert isinstance(ended, Retry)
    assert ended.when == countdown


@pytest.mark.parametrize("acks_late", [True, False])
def test_a_message_that_cannot_be_sent_is_given_back_where_that_is_possible(
    later: Task, monkeypatch: pytest.MonkeyPatch, acks_late: bool
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError("broker away")

    monkeypatch.setattr(later.app, "send_task", fail)
    monkeypatch.setattr(later, "acks_late", acks_late)
    monkeypatch.setattr(later, "run", later._orig_run)
    ended = deliver(later, 1)
    assert isinstance(ended, Reject)
    assert ended.requeue is acks_late


DELAYED = ".".join("0" * 27 + "1")


@pytest.mark.parametrize(
    ("exchange", "routing_key", "queue"),
    [
        ("email", "email", "email"),
        ("", "email", "email"),
        ("celery_delayed_delivery", f"{DELAYED}.email", "email"),
        ("someone's", "email", None),
        ("email", "email.other", None),
        (None, None, None),
    ],
)
def test_the_queue_is_known_by_where_the_message_came_from(
    app: Celery, exchange: str | None, routing_key: str | None, queue: str | None
) -> None:
    assert delivered_from(app, {"exchange": exchange, "routing_key": routing_key}) == queue


def test_rabbitmq_delays_a_message_to_the_queue_that_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = RabbitMQ(host="", port=5672, vhost="/", tls=False)
    app = Celery("shop", broker="pyamqp://127.0.0.1:1//", set_as_current=False)
    app.conf.update(
        task_default_queue="default",
        task_queues=[
            broker.queue("default", delivery_limit=5, max_task_seconds=None),
            broker.queue("email", delivery_limit=5, max_task_seconds=None),
        ],
        task_ignore_result=True,
    )
    published = []
    monkeypatch.setattr(
        app.amqp, "send_task_message", lambda *_, **options: published.append(options)
    )

    @app.task(bind=True, name="later", shared=False)
    def later(self: Task) -> NoReturn:
        put_back(self, delay_seconds=5, reason="Not now.")

    email = {"exchange": "email", "routing_key": "email"}
    assert isinstance(deliver(later, delivery_info=email, ignore_result=True), Retry)
    [options] = published
    assert options["routing_key"].endswith(".0.1.0.1.email")
    assert options["exchange"] == Exchange("celery_delayed_27", type="topic")
    app.close()
