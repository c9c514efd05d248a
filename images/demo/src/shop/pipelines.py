"""What a run sends: the article's pipelines, and the scenarios of the cluster's tests.

Each function sends to the broker and returns what it expects to see done.
"""

from collections.abc import Iterable
from decimal import Decimal

from celery import Task, chord, group
from celery.result import AsyncResult

from shop import photos, tasks
from shop.accounting import Expected
from shop.celery import app
from shop.models import Order


class UnknownQueue(ValueError):
    """No worker would ever consume this queue; the message names those that are declared."""


def send_charges(run: str, count: int) -> list[Expected]:
    """Make `count` orders and have each charged."""
    orders = [
        Order(run=run, amount=Decimal(f"{number}.50"), card_token=f"tok_{number}")
        for number in range(1, count + 1)
    ]
    made = Order.objects.bulk_create(orders)
    return [charge(order.pk, run) for order in made]


def charge(order_id: int, run: str) -> Expected:
    """Have one order charged."""
    return _expected(tasks.charge_customer, tasks.charge_customer.delay(order_id, run=run))


def send_metrics(run: str, users: Iterable[int]) -> list[Expected]:
    """Have the figures of each user fetched."""
    fetch = tasks.fetch_social_metrics
    return [_expected(fetch, fetch.delay(user, run=run)) for user in users]


def send_emails(run: str, count: int) -> list[Expected]:
    """Have `count` messages sent."""
    return [
        email(f"customer{number}@shop.example", f"Order {number}", f"{run}.{number}", run)
        for number in range(1, count + 1)
    ]


def email(to: str, subject: str, key: str, run: str) -> Expected:
    """Have one message sent, once for its `key`."""
    result = tasks.send_email.delay(to, subject, key, run=run)
    return _expected(tasks.send_email, result)


def send_thumbnails(run: str, photo: str) -> list[Expected]:
    """Have a photograph made small in every size, and the sizes combined."""
    return _send_chord(run, photo, [(photo, size) for size in photos.EDGES])


def send_broken_chord(run: str, photo: str, missing: str) -> list[Expected]:
    """Have a photograph made small in every size but the last, which needs a missing one."""
    *sizes, last = photos.EDGES
    return _send_chord(run, photo, [*((photo, size) for size in sizes), (missing, last)])


def refuse_unknown(queue: str) -> None:
    """Raise UnknownQueue for a queue that the chart does not declare, where it declares any."""
    declared = {each.name for each in app.conf.task_queues or ()}
    if declared and queue not in declared:
        known = ", ".join(sorted(declared))
        raise UnknownQueue(f"{queue}: not declared in the chart's `queues` ({known})")


def send_holds(run: str, queue: str, count: int, seconds: float) -> list[Expected]:
    """Have `count` slots of the workers of `queue` held for `seconds`."""
    sent = [tasks.hold.apply_async((seconds,), {"run": run}, queue=queue) for _ in range(count)]
    return [Expected(result.id, tasks.hold.name, queue) for result in sent]


def _send_chord(run: str, photo: str, parts: list[tuple[str, str]]) -> list[Expected]:
    header = group(tasks.resize_image.s(name, size, run=run) for name, size in parts)
    body = tasks.combine_thumbnails.s(photo=photo, run=run)
    body.on_error(tasks.report_chord_failure.s(photo=photo, run=run))
    combined = chord(header)(body)
    resized = [_expected(tasks.resize_image, result) for result in combined.parent]
    needs = tuple(expected.task_id for expected in resized)
    return [*resized, _expected(tasks.combine_thumbnails, combined, needs)]


def _expected(task: Task, result: AsyncResult, needs: tuple[str, ...] = ()) -> Expected:
    queue = task.app.amqp.router.route({}, task.name)["queue"]
    return Expected(result.id, task.name, queue.name, needs)
