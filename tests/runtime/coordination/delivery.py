"""Messages run in the test's own process, as a worker's pool would run them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from celery import Celery, Task
from celery.app.amqp import Exchange, Queue
from celery.app.trace import build_tracer
from kombu.message import Message


@contextmanager
def delivering_app(store_url: str, **configuration: Any) -> Iterator[Celery]:  # noqa: ANN401
    """An app with a broker of this process, and its store in a real Redis."""
    app = Celery(f"app-{uuid4().hex}", broker="memory://", set_as_current=False)
    app.conf.update(
        redbeat_redis_url=store_url,
        task_acks_late=True,
        task_default_queue="default",
        task_queues=[topic_queue("default"), topic_queue("email")],
        **configuration,
    )
    with app.connection_for_write() as connection:
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).declare()
        yield app
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).purge()
    app.close()


def topic_queue(name: str) -> Queue:
    return Queue(name, exchange=Exchange(name, type="topic"), routing_key=name)


def deliver(task: Task, /, *args: object, **headers: Any) -> Any:  # noqa: ANN401
    """The result of the task, or the exception or Retry that it ended with."""
    request = {
        "id": uuid4().hex,
        "retries": 0,
        "delivery_info": {"exchange": "default", "routing_key": "default"},
        **headers,
    }
    trace = build_tracer(task.name, task, app=task.app)
    outcome = trace(request["id"], list(args), {}, request)
    return outcome.info.retval if outcome.info else outcome.retval


def sent(app: Celery, queue: str) -> list[Message]:
    """The messages that wait in a queue, taken out of it."""
    with app.connection_for_read() as connection:
        get = connection.default_channel.basic_get
        return list(iter(lambda: get(queue, no_ack=True), None))
