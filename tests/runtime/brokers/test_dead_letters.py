"""Messages that cannot be finished: kept with their reason, looked at, put back, thrown away."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from celery.result import AsyncResult
from click.testing import CliRunner, Result
from kombu.connection import Connection
from kombu.message import Message

from celery_runtime.brokers import sqs
from celery_runtime.deadletter import record
from celery_runtime.deadletter.box import Box
from celery_runtime.deadletter.burial import bury as bury_message
from celery_runtime.deadletter.command import dead_letter
from celery_runtime.queues import TaskQueue
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import LIMIT, Shop, on_every_broker
from tests.runtime.conftest import HERE, wait_until

SECONDS = 60
# boto leaves the sockets of its clients to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
Command = Callable[..., Result]


@pytest.fixture
def command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `dead-letter …` in this process, for a start of Celery takes long."""
    # What each command would wait at the end of each queue of SQS.
    monkeypatch.setattr(sqs, "LONG_POLL_SECONDS", 0)

    def run(*arguments: str) -> Result:
        with Celery("command", set_as_current=False) as app:
            context = CLIContext(app, no_color=True, workdir=None)
            result = CliRunner().invoke(dead_letter, arguments, obj=context, catch_exceptions=False)
        wait_until_shown(shop)
        return result

    return run


def wait_until_shown(shop: Shop) -> None:
    """Until what was looked at can be looked at again, which takes SQS a moment."""
    server, dead = shop.server, default_queue(shop).dead_letters.name
    if isinstance(server, servers.SqsServer):
        hidden = "ApproximateNumberOfMessagesNotVisible"
        wait_until(lambda: server.attributes(dead)[hidden] == "0", "no message is hidden")


def started(*arguments: str) -> "subprocess.Popen[str]":
    """`celery dead-letter …` as a person starts it in a pod."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("celery"), "dead-letter", *arguments],
        env={
            **os.environ,
            "CELERY_APP": "shopapp:app",
            "PYTHONPATH": str(HERE / "apps"),
            "LEDGER_URL": "redis://",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(command: Command, *arguments: str) -> list[dict[str, Any]]:
    return parsed(done(command("list", "--json", *arguments)))


def parsed(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def default_queue(shop: Shop) -> TaskQueue:
    queue = shop.app.amqp.queues[shop.app.conf.task_default_queue]
    assert isinstance(queue, TaskQueue)
    return queue


def publish(shop: Shop, body: bytes | str, headers: dict[str, Any], **options: str) -> None:
    queue = default_queue(shop)
    with shop.app.producer_pool.acquire() as producer:
        producer.publish(
            body,
            headers=headers,
            exchange=queue.exchange,
            routing_key=queue.routing_key,
            declare=[queue],
            content_encoding="utf-8",
            **{"content_type": "application/json", **options},
        )


def bury(shop: Shop, count: int, *, task: str = "shop.send_email") -> list[str]:
    """Dead messages, and their ids."""
    queue = default_queue(shop)
    ids = [f"{task}-{os.urandom(4).hex()}" for _ in range(count)]
    died = record.death(reason=record.DELIVERY_LIMIT, queue=queue.name)
    with shop.app.producer_pool.acquire() as producer:
        for number, id_ in enumerate(ids):
            headers = {"id": id_, "task": task, "argsrepr": f"({number},)", "lang": "py"}
            producer.publish(
                json.dumps([[str(number)], {}, {}]),
                content_type="application/json",
                content_encoding="utf-8",
                correlation_id=id_,
                headers=record.with_death(headers, died),
                exchange=queue.dead_letters.exchange,
                routing_key=queue.dead_letters.routing_key,
                declare=[queue.dead_letters],
            )
    return ids


def taken(queue: TaskQueue, connection: Connection) -> Message:
    """The message that waits in a queue."""
    message = queue(connection.default_channel).get()
    assert isinstance(message, Message)
    return message


def waiting(shop: Shop) -> int:
    with shop.app.connection_for_read() as connection:
        queue = default_queue(shop)(connection.default_channel)
        queue.declare()
        return int(queue.queue_declare().message_count)


def result(shop: Shop, id_: str) -> AsyncResult:
    return AsyncResult(id_, app=shop.app)


@on_every_broker
def test_what_cannot_be_done_dies_with_its_reason_and_the_worker_goes_on(
    shop: Shop, command: Command, pool: str
) -> None:
    headers = {"task": "shop.send_email", "id": "1", "lang": "py", "argsrepr": "()"}
    service = shop.worker(pool)
    shop.send("refuse")
    shop.send("fail_for_good")
    shop.send("nobody_knows", 7)
    publish(shop, '[["half a', headers)
    publish(shop, "5", headers)
    publish(shop, "[[], {}, {}]", {"task": "shop.send_email"})
    publish(shop, '{"order": 7}', {})
    pickled = "application/x-python-serialize"
    publish(shop, pickle.dumps(([], {}, {})), headers, content_type=pickled)
    assert shop.send("send_email", "goes on").get(timeout=30) == "goes on"
    found: list[dict[str, Any]] = []

    def all_found() -> bool:
        found[:] = listed(command)
        return len(found) == 8

    wait_until(all_found, "eight dead messages", seconds=SECONDS)
    service.terminate()
    told = sorted((dead["reason"], dead["task"]) for dead in found)
    assert told == [
        ("content_not_accepted", "shop.send_email"),
        ("failed", "shop.fail_for_good"),
        ("rejected", "shop.refuse"),
        ("unknown_task", "shop.nobody_knows"),
        ("unreadable", ""),
        ("unreadable", "shop.send_email"),
        ("unreadable", "shop.send_email"),
        ("unreadable", "shop.send_email"),
    ]
    details = {dead["reason"]: dead["detail"] for dead in found}
    assert details["rejected"] == "the order has no customer"
    assert details["failed"] == "ValueError('no such order')"
    assert {dead["queue"] for dead in found} == {shop.app.conf.task_default_queue}
    assert service.process.wait(timeout=20) == 0


def test_a_message_that_kills_its_process_each_time_dies(shop: Shop, command: Command) -> None:
    service = shop.worker("prefork")
    poison = shop.send("run_out_of_memory")
    shop.wait_for_runs(poison, LIMIT + 1, seconds=SECONDS)
    wait_until(lambda: listed(command), "a dead message", seconds=SECONDS)
    (dead,) = listed(command)
    assert (dead["id"], dead["reason"]) == (poison.id, "delivery_limit")
    assert shop.runs(poison) == LIMIT + 1
    assert shop.send("send_email", "goes on").get(timeout=30) == "goes on"
    assert service.stop() == 0


def test_dead_messages_are_selected_shown_replayed_and_purged(shop: Shop, command: Command) -> None:
    emails, others = bury(shop, 4), bury(shop, 3, task="shop.nobody_knows")
    listing = started("list", "--json")
    output, errors = listing.communicate(timeout=SECONDS)
    assert listing.returncode == 0, errors
    assert {dead["id"] for dead in parsed(output)} == {*emails, *others}
    wait_until_shown(shop)
    assert len(listed(command, "--task", "shop.send_email", "--limit", "2")) == 2
    assert listed(command, "--older-than", "1h") == []
    assert len(listed(command, "--newer-than", "1h")) == 7
    shown = json.loads(done(command("show", emails[0])))
    assert shown["body"] == [["0"], {}, {}]
    assert shown["headers"]["x-dead-letter"]["reason"] == "delivery_limit"

    dry = command("replay", "--task", "shop.send_email", "--dry-run")
    assert len(done(dry).splitlines()) == 4
    assert len(listed(command)) == 7

    done(command("replay", "--task", "shop.send_email"))
    done(command("purge", others[0]))
    assert {dead["id"] for dead in listed(command)} == set(others[1:])
    service = shop.worker("prefork")
    assert [result(shop, id_).get(timeout=30) for id_ in emails] == ["0", "1", "2", "3"]
    assert service.stop() == 0

    done(command("replay", others[1], "--to", shop.app.conf.task_default_queue))
    service = shop.worker("prefork")
    wait_until(lambda: len(listed(command)) == 2, "it is dead again", seconds=SECONDS)
    again = {dead["id"]: dead for dead in listed(command)}[others[1]]
    assert (again["deaths"], again["reason"]) == (2, "unknown_task")
    assert service.stop() == 0


def test_a_replay_that_is_killed_loses_nothing(shop: Shop, command: Command) -> None:
    ids = bury(shop, 300)
    killed = started("replay", "--all")
    wait_until(lambda: waiting(shop) > 20, "some are replayed", seconds=SECONDS)
    killed.kill()
    killed.communicate(timeout=SECONDS)
    assert killed.returncode == -signal.SIGKILL
    service = shop.worker("gevent", concurrency=20)

    def all_ran() -> bool:
        done(command("replay", "--all"))
        return all(shop.runs(result(shop, id_)) for id_ in ids)

    wait_until(all_ran, "every message is there", seconds=SECONDS)
    assert service.stop() == 0


def test_a_replay_ends_though_what_it_puts_back_dies_again_at_once(
    shop: Shop, command: Command
) -> None:
    ids = bury(shop, 3, task="shop.nobody_knows")
    service = shop.worker("gevent")
    with Box(shop.app, [default_queue(shop)]) as box:
        for replayed, held in enumerate(box, start=1):
            assert replayed <= len(ids)
            box.replay(held)
            # The worker is quicker than this command.
            wait_until(lambda: box.count() > 0, "it is dead again", seconds=SECONDS)
    wait_until(lambda: len(listed(command)) == 3, "all are dead again", seconds=SECONDS)
    assert sorted((dead["id"], dead["deaths"]) for dead in listed(command)) == [
        (id_, 2) for id_ in sorted(ids)
    ]
    assert service.stop() == 0


def test_a_command_without_a_choice_touches_nothing(shop: Shop, command: Command) -> None:
    bury(shop, 1)
    refused = command("purge")
    assert refused.exit_code == 2
    assert "Say which: ids, --queue, --task, --reason, an age, or --all." in refused.stderr
    assert len(listed(command)) == 1


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"], indirect=True)
def test_a_message_keeps_its_priority_through_burial_and_replay(shop: Shop) -> None:
    shop.send("send_email", "urgent", priority=7)
    queue = default_queue(shop)
    with shop.app.connection_for_read() as connection:
        sent = taken(queue, connection)
        assert bury_message(shop.app, sent, reason=record.FAILED)
        sent.ack()
    with Box(shop.app, [queue]) as box:
        (held,) = box
        assert held.message.properties["priority"] == 7
        box.replay(held)
    with shop.app.connection_for_read() as connection:
        assert taken(queue, connection).properties["priority"] == 7
