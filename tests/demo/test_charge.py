"""A customer is charged once, whatever happens to the task on its way."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from shop import gateway_client
from shop.gateway_client import GatewayRefused, GatewayUnavailable
from shop.models import Charge, GatewayCharge, Order, TaskRun, Tick
from shop.tasks import charge_customer, reconcile_orders
from tests.demo.conftest import free_port

pytestmark = pytest.mark.usefixtures("gateway")


def new_order(amount: str = "12.50") -> Order:
    """Make an order that nobody has paid."""
    order: Order = Order.objects.create(run="run", amount=Decimal(amount), card_token="tok")
    return order


def charge(order: Order) -> Any:  # noqa: ANN401 (Celery's results are untyped)
    """Run the task in this thread and return its result."""
    return charge_customer.apply((order.pk,), {"run": "run"})


def test_an_order_is_charged_at_the_gateway_and_in_the_shop() -> None:
    order = new_order()
    reference = charge(order).get()
    order.refresh_from_db()
    assert order.status == Order.Status.CHARGED
    assert Charge.objects.get().reference == reference
    assert GatewayCharge.objects.get().key == str(order.pk)


def test_a_second_delivery_finds_the_order_processed_and_asks_no_gateway() -> None:
    order = new_order()
    charge(order)
    assert charge(order).get() == "already processed"
    assert GatewayCharge.objects.get().duplicates == 0


def test_of_two_deliveries_at_the_same_time_one_charges() -> None:
    order, start = new_order(), threading.Barrier(2)
    answers: list[str] = []

    def deliver() -> None:
        start.wait()
        answers.append(charge(order).get())
        connections.close_all()

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(answers, key=len)[1] == "already processed"
    assert (Charge.objects.count(), GatewayCharge.objects.get().duplicates) == (1, 0)


def test_a_crash_between_the_gateway_and_the_commit_does_not_charge_twice() -> None:
    order = new_order()
    with transaction.atomic():
        charge(order)
        transaction.set_rollback(True)
    assert (Charge.objects.count(), GatewayCharge.objects.count()) == (0, 1)
    charge(order)
    assert (Charge.objects.count(), GatewayCharge.objects.get().duplicates) == (1, 1)


def test_a_failing_gateway_is_asked_again_until_it_charges() -> None:
    gateway_client.fail_next(2)
    order = new_order()
    assert charge(order).get().startswith("ch_")
    assert (Charge.objects.count(), GatewayCharge.objects.get().duplicates) == (1, 0)


def test_a_gateway_that_stays_away_fails_the_task_with_its_own_error() -> None:
    gateway_client.fail_next(6)
    result = charge(new_order())
    assert isinstance(result.result, GatewayUnavailable)
    assert TaskRun.objects.get().starts == 6
    assert not GatewayCharge.objects.exists()


def test_an_unreachable_gateway_is_worth_another_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "GATEWAY_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(GatewayUnavailable, match="no answer from the gateway at 127"):
        gateway_client.social_metrics(1)


def test_a_refused_charge_is_not_tried_again() -> None:
    gateway_client.fail_next(0)
    result = charge(new_order("-1.00"))
    assert isinstance(result.result, GatewayRefused)
    assert "amount must be a number" in str(result.result)
    assert TaskRun.objects.get().starts == 1


def test_a_missing_order_fails_at_once_with_its_own_name() -> None:
    result = charge_customer.apply((0,), {"run": "run"})
    assert isinstance(result.result, Order.DoesNotExist)
    assert TaskRun.objects.get().starts == 1


def test_the_retry_delay_is_the_environments() -> None:
    assert (charge_customer.default_retry_delay, charge_customer.max_retries) == (1, 5)


def date_back(minutes: int) -> None:
    """Date all charges back, on both sides."""
    then = timezone.now() - timedelta(minutes=minutes)
    for model in (Charge, GatewayCharge):
        model.objects.update(created_at=then)


def test_the_reconciliation_finds_what_only_one_side_has() -> None:
    orphan, unpaid, fine = new_order(), new_order(), new_order()
    for order in (orphan, unpaid, fine):
        charge(order)
    Charge.objects.filter(order=orphan).delete()
    GatewayCharge.objects.filter(key=unpaid.pk).delete()
    date_back(5)
    found = reconcile_orders.apply().get()
    assert found == {"gateway_only": [orphan.pk], "shop_only": [unpaid.pk]}
    tick = Tick.objects.get()
    assert (tick.gateway_only, tick.shop_only) == ([orphan.pk], [unpaid.pk])


def test_the_reconciliation_leaves_the_last_half_minute_alone() -> None:
    charge(new_order())
    Charge.objects.all().delete()
    assert reconcile_orders.apply().get() == {"gateway_only": [], "shop_only": []}
