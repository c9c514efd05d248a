"""The web API sends tasks and answers with their ids."""

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from shop import tasks
from shop.celery import app
from shop.models import Order, TaskRun
from tests.demo.conftest import closed

pytestmark = pytest.mark.usefixtures("_database", "photos_dir")


@pytest.fixture
def client() -> Client:
    """Return a client under a host name that the shop allows."""
    return Client(SERVER_NAME="localhost")


def post(client: Client, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Post JSON and return the status and the JSON of the answer."""
    answer = client.post(path, body or {}, content_type="application/json")
    return answer.status_code, answer.json()


@pytest.mark.usefixtures("_worker", "gateway", "mail_server")
@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        ("/orders/{order}/charge", {}, 1),
        ("/users/7/metrics", {}, 1),
        ("/photos/set.png/thumbnails", {}, 4),
        ("/emails", {"to": "a@b.example", "subject": "Hello"}, 1),
        ("/holds", {"queue": "default", "count": 3, "seconds": 0.1}, 3),
    ],
)
def test_work_is_accepted_with_the_ids_of_its_tasks(
    client: Client, path: str, body: dict[str, str], count: int
) -> None:
    order = Order.objects.create(run="web", amount=Decimal("1.00"), card_token="tok")
    status, answer = post(client, path.format(order=order.pk), body)
    assert (status, len(answer["task_ids"])) == (202, count)
    sent = TaskRun.objects.filter(run=answer["run"], sent_at__isnull=False)
    assert set(sent.values_list("task_id", flat=True)) <= set(answer["task_ids"])
    rows = [closed(task_id) for task_id in answer["task_ids"]]
    assert {row.state for row in rows} == {"succeeded"}
    progress = client.get(f"/runs/{answer['run']}").json()["progress"]
    assert (progress["done"], progress["expected"]) == (count, count)


def test_an_order_is_taken_before_it_is_charged(client: Client) -> None:
    status, answer = post(client, "/orders", {"amount": "12.50"})
    assert status == 201
    assert Order.objects.get(pk=answer["order"]).amount == Decimal("12.50")


@pytest.mark.parametrize(
    ("path", "body", "status", "mend"),
    [
        ("/orders", {"amount": "much"}, 400, "amount must be a number"),
        ("/orders", {"amount": "Infinity"}, 400, "amount must be a number"),
        ("/emails", {"to": "a@b.example"}, 400, "subject"),
        ("/holds", {"count": 1001}, 400, "count must be a number from 0 to 1000"),
        ("/holds", {"seconds": "long"}, 400, "seconds must be a number from 0 to 3600"),
    ],
)
def test_a_bad_request_is_refused_with_the_mend(
    client: Client, path: str, body: object, status: int, mend: str
) -> None:
    answer = post(client, path, body)
    assert answer[0] == status
    assert mend in answer[1]["error"]


def test_a_queue_that_nobody_consumes_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.conf, "task_queues", [Queue("default"), Queue("email")])
    status, answer = post(client, "/holds", {"queue": "mail"})
    assert status == 400
    assert answer["error"] == "queue mail: not declared in the chart's `queues` (default, email)"
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize("path", ["/orders/0/charge", "/photos/none.png/thumbnails"])
def test_work_on_what_is_not_there_is_not_accepted(client: Client, path: str) -> None:
    assert client.post(path).status_code == 404
    assert not TaskRun.objects.exists()


def test_a_broker_that_is_away_is_told_and_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.fetch_social_metrics, "apply_async", away)
    status, answer = post(client, "/users/7/metrics")
    assert status == 503
    assert "the broker does not answer" in answer["error"]


def test_a_run_that_nobody_has_made_is_not_found(client: Client) -> None:
    assert client.get("/runs/none").status_code == 404


def test_health_is_the_databases(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_foreign_host_name_is_refused(client: Client) -> None:
    assert "*" not in settings.ALLOWED_HOSTS
    assert client.get("/healthz", SERVER_NAME="elsewhere.example").status_code == 400
