"""Amazon SQS: no events, no remote control, and queues that may have been made elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from celery.app.amqp import Exchange, Queue

from celery_runtime.brokers import visibility
from celery_runtime.queues import TaskQueue
from celery_runtime.settings.credentials import Credentials
from celery_runtime.settings.document import Table, refuse, suggest

FIFO = ".fifo"
NAME = re.compile(r"[\w-]{1,80}|(?=.{1,80}$)[\w-]+\.fifo", re.ASCII)
MAX_NAME_CHARACTERS = 80
_HTTP = "a URL that begins with http:// or https://"
#: SQS itself turns a dot into a hyphen.
DEAD_SUFFIX = "-dead"
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_VISIBILITY_TIMEOUT_SECONDS = 43_200
#: Under gevent a worker waits for one queue after the other: a long poll delays the next queue.
LONG_POLL_SECONDS = 2


@dataclass(frozen=True)
class Sqs:
    """Queues of one region; those with a URL exist already, and then all of them must."""

    region: str
    endpoint: str
    prefix: str
    urls: Mapping[str, str]
    visibility_timeout_seconds: int | None

    def url(self, credentials: Credentials) -> str:
        """No credentials but those of the workload, unless an access key is mounted."""
        if credentials.url:
            raise refuse("broker", "of kind sqs takes no URL as a secret. Set region and endpoint.")
        key = ""
        if credentials.username or credentials.password:
            key = f"{credentials.required_username()}:{credentials.required_password()}@"
        return f"sqs://{key}{urlsplit(self.endpoint).netloc}"

    def queue(self, name: str, **_: int | None) -> TaskQueue:
        """A queue by its name, with the name of its dead-letter queue."""
        dead = dead_name(name)
        if len(self.prefix + dead) > MAX_NAME_CHARACTERS:
            raise refuse(
                f"queues.{name}",
                f"is too long for SQS, which takes {MAX_NAME_CHARACTERS} characters: its "
                f"dead-letter queue would be {self.prefix}{dead}. Shorten it, or queuePrefix.",
            )
        return TaskQueue(
            name,
            exchange=Exchange(""),
            routing_key=name,
            dead_letters=Queue(dead, exchange=Exchange(""), routing_key=dead),
        )

    def configuration(
        self,
        credentials: Credentials,  # noqa: ARG002 # SQS has certificates that everyone trusts
        *,
        delivery_limits: Mapping[str, int],
        max_task_seconds: int | None,
    ) -> dict[str, Any]:
        """A visibility timeout above the longest task, dead letters, nothing that SQS lacks."""
        return {
            "broker_transport_options": {
                "region": self.region,
                "visibility_timeout": self._visibility_timeout_seconds(max_task_seconds),
                "wait_time_seconds": LONG_POLL_SECONDS,
                "polling_interval": 0,
                "queue_name_prefix": self.prefix,
                **({"predefined_queues": self._predefined(delivery_limits)} if self.urls else {}),
                **({"is_secure": self.endpoint.startswith("https")} if self.endpoint else {}),
                "dead_letters": {
                    name: {"queue": dead_name(name), "limit": limit}
                    for name, limit in delivery_limits.items()
                },
            },
            "worker_enable_remote_control": False,
        }

    def _predefined(self, names: Mapping[str, int]) -> dict[str, dict[str, str]]:
        wanted = [each for name in names for each in (name, dead_name(name))]
        for name in self.urls:
            if name not in wanted:
                raise refuse(f"broker.queueUrls.{name}", f"names no queue. {suggest(name, wanted)}")
        return {name: {"url": self._queue_url(name)} for name in wanted}

    def _queue_url(self, name: str) -> str:
        path = f"broker.queueUrls.{name}"
        if name not in self.urls:
            raise refuse(
                path,
                "is missing. Where one queue has a URL, every queue and its dead-letter queue "
                "need one.",
            )
        if not NAME.fullmatch(name):
            raise refuse(path, "is not a name that SQS knows: letters, digits, - and _, and .fifo.")
        url = self.urls[name]
        if not _is_http(url):
            raise refuse(path, f"must be {_HTTP}.")
        if url.endswith(FIFO) != name.endswith(FIFO):
            raise refuse(path, "and its URL must both end in .fifo, or neither.")
        return url

    def _visibility_timeout_seconds(self, max_task_seconds: int | None) -> int:
        derived = self.visibility_timeout_seconds or visibility.timeout_seconds(max_task_seconds)
        if derived > MAX_VISIBILITY_TIMEOUT_SECONDS:
            raise refuse(
                "maxTaskSeconds",
                "is more than SQS can hide a message for: 12 hours, less a margin. Cut the task "
                "into shorter ones, or use RabbitMQ.",
            )
        return derived


def dead_name(name: str) -> str:
    """The name of a queue's dead-letter queue; that of a FIFO queue must be FIFO too."""
    stem = name.removesuffix(FIFO)
    return stem + DEAD_SUFFIX + name[len(stem) :]


def _is_http(url: object) -> bool:
    return isinstance(url, str) and urlsplit(url).scheme in ("http", "https")


def parse(root: Table) -> Sqs:
    """The broker section when its kind is sqs."""
    keys = ("region", "endpoint", "queuePrefix", "queueUrls", "visibilityTimeoutSeconds")
    table = root.table("broker", known=("kind", *keys))
    endpoint = table.optional("endpoint", str, "")
    if endpoint and not _is_http(endpoint):
        raise refuse(table.path("endpoint"), f"must be {_HTTP}.")
    if table.optional("queueUrls", dict, {}) and "queuePrefix" in table:
        raise refuse(table.path("queuePrefix"), "has no effect on queueUrls. Set one of the two.")
    return Sqs(
        region=table.required("region", str),
        endpoint=endpoint,
        prefix=table.optional("queuePrefix", str, ""),
        urls=table.optional("queueUrls", dict, {}),
        visibility_timeout_seconds=visibility.parse(table, most=MAX_VISIBILITY_TIMEOUT_SECONDS),
    )
