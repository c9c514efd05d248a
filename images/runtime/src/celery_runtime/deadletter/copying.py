"""Sending a message again as it is, under other headers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.app.amqp import Queue

from celery_runtime.sending import CONFIRM_SECONDS, as_operational_error

if TYPE_CHECKING:
    from kombu.message import Message


def send_copy(
    app: Celery,
    message: "Message",
    *,
    to: Queue,
    headers: Mapping[str, Any],
    retry_policy: Mapping[str, float],
) -> None:
    """Send a copy to a queue; with the broker's confirmation, where it gives one.

    Raises:
        OperationalError: the broker did not take it, however often it was asked.

    """
    properties = message.properties
    with as_operational_error(), app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(headers),
            exchange=to.exchange,
            routing_key=to.routing_key,
            declare=[to],
            confirm_timeout=CONFIRM_SECONDS,
            retry=True,
            retry_policy=dict(retry_policy),
            delivery_mode="persistent",
            priority=properties.get("priority") or 0,
            correlation_id=properties.get("correlation_id"),
            reply_to=properties.get("reply_to"),
        )
