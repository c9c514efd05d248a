"""What each kind of broker needs: its URL, its queues, its share of Celery's configuration."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from celery_runtime.brokers import rabbitmq, redis, sqs
from celery_runtime.queues import TaskQueue
from celery_runtime.settings.credentials import Credentials
from celery_runtime.settings.document import Table


class Broker(Protocol):
    """One kind of broker, as settings.json describes it."""

    def url(self, credentials: Credentials) -> str:
        """Celery's broker_url."""

    def queue(self, name: str, *, delivery_limit: int, max_task_seconds: int | None) -> TaskQueue:
        """A queue for tasks; its dead letters have a queue of their own."""

    def configuration(
        self,
        credentials: Credentials,
        *,
        delivery_limits: Mapping[str, int],
        max_task_seconds: int | None,
    ) -> dict[str, Any]:
        """Celery settings beside the URL and the queues."""


_PARSERS: Mapping[str, Callable[[Table], Broker]] = {
    "rabbitmq": rabbitmq.parse,
    "redis": redis.parse,
    "sqs": sqs.parse,
}


def parse(root: Table) -> Broker:
    """The broker section of settings.json."""
    kind = root.table("broker").choice("kind", *_PARSERS)
    return _PARSERS[kind](root)
