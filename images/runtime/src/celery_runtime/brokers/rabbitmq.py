"""RabbitMQ 4: quorum queues behind topic exchanges, publisher confirms.

A task queue `email` is a quorum queue behind a topic exchange `email`. What exceeds its delivery
limit, expires or is rejected goes through the exchange `dlx` to the quorum queue `email.dead`.
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# kombu's own, by the door that mypy does not find half-typed.
from celery.app.amqp import Exchange, Queue

from celery_runtime.brokers import visibility
from celery_runtime.queues import TaskQueue
from celery_runtime.settings.credentials import Credentials, address, encoded
from celery_runtime.settings.document import Table

DEAD_LETTER_EXCHANGE = "dlx"
DEAD_SUFFIX = ".dead"
UNLIMITED = -1
#: RabbitMQ's own: https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
CONSUMER_TIMEOUT_SECONDS = 1800
SCHEMES = ("amqp", "amqps", "pyamqp")
#: tcp(7). py-amqp gives a connection up when a second's packets are lost, and RabbitMQ then sends
#: all that its worker works on to others; one that nothing is sent by, it keeps for over a minute.
#: Whoever is away is noticed after 10 s in both cases, without AMQP's heartbeats, which a gevent
#: task that does not yield would hold up.
PATIENCE = {"TCP_USER_TIMEOUT": 10_000, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2}


@dataclass(frozen=True)
class RabbitMQ:
    """A RabbitMQ; the host is empty when a whole URL is mounted."""

    host: str
    port: int
    vhost: str
    tls: bool

    def url(self, credentials: Credentials) -> str:
        """The mounted URL, or one made of the parts."""
        if whole := credentials.whole_url(*SCHEMES):
            return whole
        user = f"{credentials.required_username()}:{credentials.required_password()}"
        where = address(self.host, self.port, "broker")
        return f"{'amqps' if self.tls else 'amqp'}://{user}@{where}/{encoded(self.vhost)}"

    def queue(self, name: str, *, delivery_limit: int, max_task_seconds: int | None) -> TaskQueue:
        """The queue and exchange of one name, bound under that name."""
        return TaskQueue(
            name,
            # Topic: only then does RabbitMQ, not the worker, hold back a message with a countdown.
            exchange=Exchange(name, type="topic", durable=True),
            routing_key=name,
            durable=True,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": delivery_limit,
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                "x-dead-letter-routing-key": name + DEAD_SUFFIX,
                # At-least-once needs reject-publish: a full queue refuses, it never drops its head.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
            consumer_arguments=_patience(max_task_seconds),
            dead_letters=dead_letter_queue(name + DEAD_SUFFIX),
        )

    def configuration(
        self,
        credentials: Credentials,
        *,
        delivery_limits: Mapping[str, int],  # noqa: ARG002 # the queues' own arguments
        max_task_seconds: int | None,  # noqa: ARG002 # the queues' consumers say it
    ) -> dict[str, Any]:
        """Quorum and topic for every queue, confirms for every publish, patience with a network."""
        return {
            # Only these avoid workers that block on a countdown: quorum queues AND topic exchanges.
            "task_default_queue_type": "quorum",
            "task_default_exchange_type": "topic",
            "task_create_missing_queue_type": "quorum",
            "task_create_missing_queue_exchange_type": "topic",
            "broker_transport_options": {
                # A publish counts once the broker has it on disk.
                "confirm_publish": True,
                # Only Linux knows them all.
                "socket_settings": {
                    getattr(socket, name): value
                    for name, value in PATIENCE.items()
                    if hasattr(socket, name)
                },
            },
            **({"broker_use_ssl": _tls(credentials)} if self._encrypted(credentials) else {}),
        }

    def _encrypted(self, credentials: Credentials) -> bool:
        return self.tls or urlsplit(credentials.url or "").scheme == "amqps"


def _patience(max_task_seconds: int | None) -> dict[str, int]:
    """What consumers ask for, so that a long task is not delivered again: heard from 4.3 on.

    Never less than RabbitMQ gives: a message may also wait for its task's rate limit.
    """
    seconds = visibility.timeout_seconds(max_task_seconds)
    return {} if seconds <= CONSUMER_TIMEOUT_SECONDS else {"x-consumer-timeout": seconds * 1000}


def _tls(credentials: Credentials) -> dict[str, Any]:
    ca_file = credentials.ca_file
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        # Without this key nobody's name is checked; kombu puts the URL's host in place of None.
        "server_hostname": None,
        **({"ca_certs": str(ca_file)} if ca_file else {}),
    }


def parse(root: Table) -> RabbitMQ:
    """The broker section when its kind is rabbitmq."""
    table = root.table("broker", known=("kind", "host", "port", "vhost", "tls"))
    tls = table.flag("tls")
    return RabbitMQ(
        host=table.optional("host", str, ""),
        port=table.integer("port", 5671 if tls else 5672, least=1, most=65535),
        vhost=table.optional("vhost", str, "/"),
        tls=tls,
    )


def dead_letter_queue(name: str) -> Queue:
    """A replicated queue behind the exchange `dlx`."""
    return Queue(
        name,
        exchange=Exchange(DEAD_LETTER_EXCHANGE, type="direct", durable=True),
        routing_key=name,
        durable=True,
        # Looking at a dead message and putting it back counts as a delivery: never drop it.
        queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED},
    )
