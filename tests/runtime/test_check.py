"""`helm test` fails when a queue has no consumer, and waits for those that still start."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from celery_runtime import check, configure
from celery_runtime.logs import console
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import point
from tests.runtime.conftest import Mounted, Start


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "WAIT_SECONDS", 0)
    monkeypatch.setattr(console, "install", lambda: None)


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


@pytest.mark.usefixtures("_at_once")
def test_an_unreachable_broker_is_an_error_and_not_an_idle_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object) -> dict[str, int]:
        raise OperationalError("nobody listens")

    monkeypatch.setattr(check, "consumers", unreachable)
    assert check.main(["default"]) == 1


def test_on_redis_the_workers_tell_what_they_consume(producer: Celery, worker: Start) -> None:
    assert check.consumers(producer, ["default", "email"]) == {"default": 0, "email": 0}
    worker("prefork", queues="default").wait_for("ready", 200)
    assert check.consumers(producer, ["default", "email"]) == {"default": 1, "email": 0}


@pytest.fixture
def sqs(mounted: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounted]:
    """An Amazon SQS as moto serves it, and the mounted settings that lead to it."""
    server = servers.sqs(tmp_path)
    point(mounted, server)
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
    yield mounted
    server.remove()


@pytest.mark.usefixtures("_at_once")
def test_on_sqs_a_queue_has_to_be_there_and_is_not_made(
    sqs: Mounted, caplog: pytest.LogCaptureFixture
) -> None:
    assert check.main(["default", "email"]) == 1
    assert caplog.messages[-1] == (
        "SQS has no queue default, email, or does not let this pod see it. Are the workers' pods "
        "ready?"
    )
    client = boto3.client(
        "sqs",
        endpoint_url=sqs.settings["broker"]["endpoint"],
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    assert "QueueUrls" not in client.list_queues()
    for name in ("default", "email"):
        client.create_queue(QueueName=name)
    assert check.main(["default", "email"]) == 0
    assert caplog.messages[-1] == (
        "Every queue can be reached: default, email. SQS does not tell who consumes them."
    )


@pytest.mark.usefixtures("_at_once")
def test_a_url_of_sqs_that_leads_to_no_queue_is_found_out(sqs: Mounted) -> None:
    url = f"{sqs.settings['broker']['endpoint']}/123456789012/"
    names = ("default", "default-dead", "email", "email-dead")
    sqs.settings["broker"]["queueUrls"] = {name: url + name for name in names}
    sqs.write()
    app = Celery("producer")
    configure(app)
    assert check.consumers(app, ["default"]) == {"default": 0}


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("kind", ["rabbitmq", "redis", "sqs"])
def test_a_broker_that_is_away_is_an_error_on_every_kind(
    mounted: Mounted,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    nowhere = {"host": "127.0.0.1", "port": 1}
    if kind == "sqs":
        nowhere = {"region": "eu-central-1", "endpoint": "http://127.0.0.1:1"}
    mounted.settings["broker"] = {"kind": kind, **nowhere}
    mounted.write()
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
    assert check.main(["default"]) == 1
    assert caplog.messages[-1].startswith("The consumers cannot be counted: ")
