"""Lengths, on an SQS that moto serves."""

from collections.abc import Iterator

import pytest
from celery import Celery

from celery_exporter.broker.sqs import Sqs
from celery_runtime import configure
from tests.runtime.brokers import servers
from tests.runtime.conftest import Mounted


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.SqsServer]:
    started = servers.sqs(tmp_path_factory.mktemp("sqs"))
    yield started
    started.remove()


@pytest.fixture
def app(
    server: servers.SqsServer,
    mounted: Mounted,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Celery]:
    mounted.settings["broker"] = dict(server.settings)
    for name, text in server.secrets.items():
        mounted.secret(name, text)
    mounted.secret("results/url", f"{redis_url}/0")
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.write()))
    app = Celery("lengths", set_as_current=False)
    configure(app)
    yield app
    app.close()


def test_what_waits_and_what_is_held_is_known_for_each_queue(
    app: Celery, server: servers.SqsServer
) -> None:
    for _ in range(3):
        app.send_task("a", queue="email")
    url = server.client.get_queue_url(QueueName="email")["QueueUrl"]
    server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    broker = Sqs(app)
    reading = broker.read(["email", "email-dead"])
    broker.close()
    assert (reading.depths["email"].ready, reading.depths["email"].unacked) == (2, 1)
    assert reading.depths["email-dead"].ready == 0


def test_a_queue_that_is_not_there_is_unread_and_is_not_made(
    app: Celery, server: servers.SqsServer
) -> None:
    broker = Sqs(app)
    reading = broker.read(["email"])
    broker.close()
    assert set(reading.unread) == {"email"}
    assert "QueueUrls" not in server.client.list_queues()
