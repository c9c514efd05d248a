"""The topology: task queues, where their dead messages go, and when it is declared."""

from types import SimpleNamespace

import pytest
from celery import Celery
from celery.app.amqp import Queue
from kombu.transport.memory import Channel

from celery_runtime import queues
from celery_runtime.brokers.rabbitmq import RabbitMQ
from celery_runtime.deadletter.declaration import DeadLetters


def rabbitmq_queue(name: str, delivery_limit: int = 5) -> queues.TaskQueue:
    broker = RabbitMQ(host="", port=5672, vhost="/", tls=False)
    return broker.queue(name, delivery_limit=delivery_limit, max_task_seconds=None)


def test_a_task_queue_is_replicated_bounded_and_dead_letters_at_least_once() -> None:
    queue = rabbitmq_queue("email")
    assert queue.durable
    assert queue.routing_key == "email"
    assert (queue.exchange.name, queue.exchange.type) == ("email", "topic")
    assert queue.exchange.durable
    assert queue.queue_arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 5,
        "x-dead-letter-exchange": "dlx",
        "x-dead-letter-routing-key": "email.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_a_queue_may_have_its_own_delivery_limit() -> None:
    queue = rabbitmq_queue("email", delivery_limit=3)
    assert queue.queue_arguments["x-delivery-limit"] == 3


def test_dead_messages_are_kept_in_a_replicated_queue_of_their_own() -> None:
    dead = rabbitmq_queue("email").dead_letters
    assert dead is not None
    assert (dead.name, dead.routing_key) == ("email.dead", "email.dead")
    assert (dead.exchange.name, dead.exchange.type) == ("dlx", "direct")
    assert dead.queue_arguments == {"x-queue-type": "quorum", "x-delivery-limit": -1}


def test_a_queue_of_the_app_without_our_exchange_gets_no_dead_letter_queue() -> None:
    ours, theirs = rabbitmq_queue("email"), Queue("theirs")
    assert [dead.name for dead in queues.dead_letter_queues([ours, theirs])] == ["email.dead"]


def test_the_step_declares_the_dead_letters_of_every_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared: list[str] = []
    monkeypatch.setattr(Channel, "_new_queue", lambda _, name, **__: declared.append(name))
    app = Celery(broker="memory://")
    app.conf.task_queues = [rabbitmq_queue("email"), rabbitmq_queue("default")]
    with app.connection_for_write() as connection:
        consumer = SimpleNamespace(app=app, connection=connection)
        DeadLetters(consumer).start(consumer)
    assert sorted(declared) == ["default.dead", "email.dead"]
    app.close()
