"""The shop's tasks: the article's, made right.

Every task takes `run` as a keyword: unlike message headers it survives retries, chords and
error handlers alike, and the ledger counts by it. Each task's effect has a unique key, so
that a second delivery of a message changes nothing.
"""

import os
import signal
import smtplib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage

from celery import Task, shared_task
from celery.result import AsyncResult
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from shop import effects, gateway_client, photos
from shop.gateway_client import GatewayUnavailable
from shop.ledger import SENT_AT
from shop.models import (
    Charge,
    ChordFailure,
    ContactSheet,
    Hold,
    Metric,
    Order,
    Thumbnail,
    Tick,
)

SMTP_TIMEOUT_SECONDS = 10

# Exponential, without jitter: jitter may yield a delay of zero, which RabbitMQ's delayed
# delivery does not take.
_BACKOFF = {"retry_backoff": 2, "retry_backoff_max": 60, "retry_jitter": False, "max_retries": 5}


@shared_task(
    bind=True,
    max_retries=5,
    default_retry_delay=settings.CHARGE_RETRY_DELAY_SECONDS,
)
def charge_customer(self: Task, order_id: int, run: str = "") -> str:
    """Charge an order once: the row's lock, the early exit and the idempotency key see to it.

    Only an unavailable gateway is worth another attempt. A missing order, a refused card or
    an error in this code fails at once, with its own name.
    """
    try:
        with transaction.atomic():
            order = Order.objects.select_for_update().get(id=order_id)
            if order.status == Order.Status.CHARGED:
                return "already processed"
            return _charge(order, run=run, task_id=self.request.id)
    except GatewayUnavailable as error:
        raise self.retry(exc=error) from error


def _charge(order: Order, *, run: str, task_id: str) -> str:
    reference = gateway_client.charge(
        order.pk, order.amount, order.card_token, run=run, task_id=task_id
    )
    order.status = Order.Status.CHARGED
    order.save(update_fields=["status"])
    effects.record(Charge, {"order": order}, reference=reference, run=run, task_id=task_id)
    return reference


@shared_task(
    bind=True,
    rate_limit="10/m",
    autoretry_for=(GatewayUnavailable,),
    **_BACKOFF,
)
def fetch_social_metrics(self: Task, user_id: int, run: str = "") -> dict[str, int]:
    """Fetch a user's figures; each worker asks at most ten times a minute."""
    figures = gateway_client.social_metrics(user_id)
    counts = {name: figures[name] for name in ("followers", "likes")}
    key = {"run": run, "user": user_id}
    effects.record(Metric, key, task_id=self.request.id, **counts)
    return counts


@shared_task(bind=True)
def resize_image(self: Task, photo: str, size: str, run: str = "") -> int:
    """Store the photograph in one of the sizes of `shop.photos` and return the row's id."""
    path = photos.locate(settings.PHOTOS_DIR, photo)
    data, width, height = photos.resize(path, photos.EDGES[size])
    thumbnail, _ = effects.record(
        Thumbnail,
        {"run": run, "photo": photo, "size": size},
        task_id=self.request.id,
        data=data,
        width=width,
        height=height,
    )
    return int(thumbnail.pk)


@shared_task(bind=True)
def combine_thumbnails(self: Task, thumbnail_ids: Sequence[int], photo: str, run: str = "") -> int:
    """Store the contact sheet of a photograph's thumbnails and return the row's id."""
    found = Thumbnail.objects.in_bulk(thumbnail_ids)
    data = photos.contact_sheet([bytes(found[key].data) for key in thumbnail_ids])
    key = {"run": run, "photo": photo}
    sheet, _ = effects.record(ContactSheet, key, task_id=self.request.id, data=data)
    return int(sheet.pk)


@shared_task(bind=True, max_retries=10)
def report_chord_failure(self: Task, failed_id: str, photo: str = "", run: str = "") -> str:
    """Record why a photograph has no contact sheet.

    Celery runs an error handler as a task of its own only if it takes one argument besides
    `self`; it may do so before the failure's cause is stored.
    """
    result = AsyncResult(failed_id)
    if not result.failed():
        raise self.retry(countdown=1)
    reason = repr(result.result)
    key = {"run": run, "photo": photo}
    effects.record(ChordFailure, key, task_id=self.request.id, reason=reason)
    return reason


@shared_task(bind=True, autoretry_for=(OSError,), **_BACKOFF)
def send_email(self: Task, to: str, subject: str, key: str, run: str = "") -> str:
    """Send one message and return its Message-ID.

    The id is made from `key`, so a second delivery sends the same message again and the
    receiving side can drop it.
    """
    message = EmailMessage()
    message["Message-ID"] = f"<{key}@shop.example>"
    message["From"] = "shop@shop.example"
    message["To"] = to
    message["Subject"] = subject
    message["X-Shop-Run"] = run
    message["X-Shop-Task"] = self.request.id
    message.set_content("Thank you for your order.\n")
    host, port = settings.SMTP_HOST, settings.SMTP_PORT
    with smtplib.SMTP(host, port, timeout=SMTP_TIMEOUT_SECONDS) as server:
        server.send_message(message)
    return str(message["Message-ID"])


@shared_task(bind=True)
def reconcile_orders(self: Task, run: str = "") -> dict[str, list[int]]:
    """Compare the charges at the gateway with the shop's, both ways, up to an hour back.

    Those of the last half minute are left out: one of them may be between the gateway's
    answer and the shop's commit. The other side is always asked for a wider time.
    """
    now = timezone.now()
    hour, until = timedelta(hours=1), now - timedelta(seconds=30)
    lists = {
        "gateway_only": sorted(_at_gateway(now - hour, until) - _in_shop(now - 2 * hour, now)),
        "shop_only": sorted(_in_shop(now - hour, until) - _at_gateway(now - 2 * hour, now)),
    }
    scheduled_at = _sent_at(self) or now
    key = {"key": self.request.id}
    effects.record(Tick, key, task_id=self.request.id, run=run, scheduled_at=scheduled_at, **lists)
    return lists


def _at_gateway(since: datetime, until: datetime) -> set[int]:
    return gateway_client.charged_orders(since=since, until=until)


def _in_shop(since: datetime, until: datetime) -> set[int]:
    charges = Charge.objects.filter(created_at__gte=since, created_at__lt=until)
    return set(charges.values_list("order_id", flat=True))


def _sent_at(task: Task) -> datetime | None:
    """Return when beat sent this task, as the ledger has noted it in the message."""
    text = task.request.get(SENT_AT)
    return datetime.fromisoformat(text) if text else None


@shared_task(bind=True, autoretry_for=(OperationalError,), **_BACKOFF)
def hold(self: Task, seconds: float, run: str = "", retries: int = 0) -> None:
    """Take `seconds`, then leave one effect, when the database lets it. Its start is in the ledger.

    The first `retries` attempts give up instead. It has no queue of its own: the caller names the
    one whose workers it is to hold.
    """
    if self.request.retries < retries:
        raise self.retry(countdown=1)
    time.sleep(seconds)
    effects.record(
        Hold, {"key": self.request.id}, task_id=self.request.id, run=run, seconds=seconds
    )


@shared_task
def crash(run: str = "") -> None:  # noqa: ARG001 # the ledger counts by it
    """Be killed, as by a kernel that has no memory left: nothing is said and nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
