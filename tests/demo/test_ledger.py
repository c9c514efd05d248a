"""The ledger follows each task from the broker's acceptance to its end."""

import threading
from decimal import Decimal

import pytest
from django.db import connection, transaction
from kombu.exceptions import OperationalError
from kombu.transport.native_delayed_delivery import calculate_routing_key

from shop import database, gateway_client, ledger, tasks
from shop.celery import app
from shop.models import Order, TaskRun
from tests.demo.conftest import closed, free_port

pytestmark = pytest.mark.usefixtures("_database")


@pytest.mark.usefixtures("_worker")
def test_a_task_that_succeeds_is_sent_started_and_done() -> None:
    row = closed(tasks.hold.apply_async((0.1,), {"run": "run"}, queue="email").id)
    assert (row.state, row.run, row.queue, row.starts) == ("succeeded", "run", "email", 1)
    assert row.sent_at <= row.started_at < row.finished_at
    assert row.hostname


@pytest.mark.usefixtures("_worker")
def test_a_task_that_fails_is_closed_with_its_error() -> None:
    row = closed(tasks.resize_image.delay("none.png", "small", run="run").id)
    assert (row.state, row.queue) == ("failed", "thumbnails")
    assert "FileNotFoundError" in row.reason


@pytest.mark.usefixtures("_worker", "gateway")
def test_a_retry_is_counted_and_waits_for_its_delay() -> None:
    gateway_client.fail_next(1)
    order = Order.objects.create(run="run", amount=Decimal("1.00"), card_token="tok")
    row = closed(tasks.charge_customer.delay(order.pk, run="run").id)
    assert (row.state, row.retries, row.starts) == ("succeeded", 1, 2)
    assert 1 <= (row.finished_at - row.sent_at).total_seconds() < 5


def test_a_task_that_the_broker_does_not_accept_is_not_in_the_ledger() -> None:
    nobody = app.connection_for_write(
        f"amqp://127.0.0.1:{free_port()}//",
        transport_options={"max_retries": 1, "interval_start": 0},
    )
    with pytest.raises(OperationalError):
        tasks.hold.apply_async((0,), connection=nobody, retry=False)
    assert not TaskRun.objects.exists()


def publish(task_id: str = "t", name: str = "shop.tasks.hold", routing_key: str = "email") -> None:
    """Send what Celery sends around publishing."""
    headers = {"id": task_id}
    ledger.stamp(sender=name, headers=headers)
    body = [(), {"run": "run"}]
    ledger.accepted(sender=name, headers=headers, body=body, routing_key=routing_key)


class Request:
    """What a signal handler sees of a running task."""

    id = "t"
    hostname = "io@pod"
    delivery_info = {"routing_key": "email"}  # noqa: RUF012


class Hold:
    """A task of the shop's, and its request."""

    name = "shop.tasks.hold"
    request = Request()


def begin() -> None:
    """Send what Celery sends when a worker starts the task."""
    ledger.started(sender=Hold, task_id="t", kwargs={"run": "run"})


def test_a_worker_that_is_faster_than_its_producer_loses_nothing() -> None:
    begin()
    ledger.succeeded(sender=Hold)
    publish()
    row = TaskRun.objects.get()
    assert (row.state, row.starts) == ("succeeded", 1)
    assert row.sent_at is not None


def test_a_task_that_is_due_later_is_in_the_ledger_by_its_queue() -> None:
    publish(routing_key=calculate_routing_key(20, "email"))
    assert TaskRun.objects.get().queue == "email"


def test_a_second_acceptance_keeps_the_first_time() -> None:
    publish()
    first = TaskRun.objects.get().sent_at
    publish()
    assert TaskRun.objects.get().sent_at == first


def test_a_message_that_is_sent_again_keeps_its_first_time() -> None:
    headers: dict[str, object] = {"id": "t"}
    ledger.stamp(sender="shop.tasks.hold", headers=headers)
    first = dict(headers)
    ledger.stamp(sender="shop.tasks.hold", headers=headers)
    assert headers == first != {"id": "t"}


def test_a_redelivery_after_success_is_counted_and_stays_done() -> None:
    begin()
    ledger.succeeded(sender=Hold)
    begin()
    ledger.failed(sender=Hold, task_id="t", exception=ValueError("late"))
    row = TaskRun.objects.get()
    assert (row.state, row.starts, row.reason) == ("succeeded", 2, "")


def test_the_worker_group_is_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_WORKER_GROUP", "io")
    begin()
    row = TaskRun.objects.get()
    assert (row.worker_group, row.hostname) == ("io", "io@pod")


def test_publishing_in_a_transaction_leaves_the_transaction_alone() -> None:
    with transaction.atomic():
        order = Order.objects.create(run="run", amount=Decimal("1.00"), card_token="tok")
        publish()
    assert Order.objects.get() == order
    assert TaskRun.objects.exists()


def test_tasks_of_others_are_not_entered() -> None:
    publish(name="celery.backend_cleanup")
    assert not TaskRun.objects.exists()


def test_a_database_that_restarts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setattr(database, "POLL_SECONDS", 0.05)
    address = connection.settings_dict
    right = address["PORT"]
    monkeypatch.setitem(address, "PORT", free_port())
    threading.Timer(0.3, lambda: address.update(PORT=right)).start()
    publish()
    assert TaskRun.objects.exists()


def test_a_connection_that_the_database_has_closed_is_replaced() -> None:
    publish("one")
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [backend()])
    other.close()
    publish("two")
    assert TaskRun.objects.count() == 2


def test_what_is_sent_one_after_the_other_is_entered_by_one_connection() -> None:
    publish("one")
    before = backend()
    publish("two")
    assert backend() == before


def backend() -> int:
    """The server's process of this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
