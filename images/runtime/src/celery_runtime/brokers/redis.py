"""Redis and Valkey: lists for queues, and messages that come back after a visibility timeout."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis
from celery.app.amqp import Exchange, Queue
from redis.exceptions import ResponseError

from celery_runtime.brokers import visibility
from celery_runtime.errors import SettingsError
from celery_runtime.queues import TaskQueue
from celery_runtime.settings.credentials import Credentials, address
from celery_runtime.settings.document import Table, refuse

DEAD_SUFFIX = ".dead"
SCHEMES = ("redis", "rediss", "sentinel")
PORT = 6379
SENTINEL_PORT = 26379
#: The keys of settings.json that say where a Redis is.
PLACE = ("host", "port", "username", "database", "tls", "sentinel")
CONNECT_TIMEOUT_SECONDS = 5
TIMEOUT_SECONDS = 30
SWEEP_LOCK_SECONDS = 30
#: A name, an IPv4 address or an IPv6 one in brackets; the port may be left out.
_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")
_HOSTS = 'List the sentinels as in ["sentinel-0:26379"]'


@dataclass(frozen=True)
class Sentinel:
    """The sentinels that know which Redis is the master; a broker's whole URL may name them."""

    master: str
    hosts: tuple[str, ...]
    #: Where the hosts stand in settings.json.
    path: str

    def urls(self, user: str, database: int) -> str:
        """One URL a sentinel; kombu and Celery try them in turn."""
        if not self.hosts:
            raise refuse(self.path, f"is missing. {_HOSTS}, or mount a whole URL.")
        return ";".join(f"sentinel://{user}@{host}/{database}" for host in self.hosts)

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each."""
        parts = [urlsplit(f"//{host}") for host in self.hosts]
        return [(str(part.hostname), part.port or SENTINEL_PORT) for part in parts]

    def options(self, credentials: Credentials, *, tls: bool) -> dict[str, Any]:
        """The way to the sentinels: their own password, and Redis' TLS."""
        return {
            "master_name": self.master,
            "sentinel_kwargs": {
                "password": credentials.sentinel_password,
                "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
                # A sentinel answers at once, or the next one is asked.
                "socket_timeout": CONNECT_TIMEOUT_SECONDS,
                **({"ssl": True, **tls_options(credentials)} if tls else {}),
            },
        }


@dataclass(frozen=True)
class Redis:
    """A Redis or Valkey; the host is empty when a whole URL is mounted, or behind sentinels."""

    host: str
    port: int
    username: str
    database: int
    tls: bool
    key_prefix: str
    visibility_timeout_seconds: int | None
    sentinel: Sentinel | None

    def url(self, credentials: Credentials) -> str:
        """The mounted URL, or one made of the parts."""
        if whole := credentials.whole_url(*SCHEMES):
            return self._that_fits(whole)
        user = credentials.login(self.username)
        if self.sentinel:
            return self.sentinel.urls(user, self.database)
        where = address(self.host, self.port, "broker")
        return f"{'rediss' if self.tls else 'redis'}://{user}@{where}/{self.database}"

    def queue(self, name: str, **_: int | None) -> TaskQueue:
        """A list of its own, which the default exchange finds without asking Redis."""
        return TaskQueue(
            name,
            exchange=Exchange(""),
            routing_key=name,
            dead_letters=Queue(
                name + DEAD_SUFFIX, exchange=Exchange(""), routing_key=name + DEAD_SUFFIX
            ),
        )

    def configuration(
        self,
        credentials: Credentials,
        *,
        delivery_limits: Mapping[str, int],
        max_task_seconds: int | None,
    ) -> dict[str, Any]:
        """A visibility timeout above the longest task, timeouts on sockets, bounded redelivery."""
        return {
            "broker_transport_options": {
                "visibility_timeout": self.visibility_timeout_seconds
                or visibility.timeout_seconds(max_task_seconds),
                # The lock of a worker that was killed while it put messages back.
                "unacked_mutex_expire": SWEEP_LOCK_SECONDS,
                "socket_keepalive": True,
                "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "socket_timeout": TIMEOUT_SECONDS,
                "global_keyprefix": self.key_prefix,
                "dead_letters": {
                    name: {"queue": name + DEAD_SUFFIX, "limit": limit}
                    for name, limit in delivery_limits.items()
                },
                **(self.sentinel.options(credentials, tls=self.tls) if self.sentinel else {}),
            },
            # A busy worker leaves to others what it cannot start yet.
            "worker_disable_prefetch": True,
            **({"broker_use_ssl": tls_options(credentials)} if self._tls(credentials) else {}),
        }

    def _that_fits(self, url: str) -> str:
        if urlsplit(url).scheme == "sentinel" and not self.sentinel:
            raise refuse("broker.sentinel", "is missing. A sentinel:// URL needs its master.")
        return url

    def _tls(self, credentials: Credentials) -> bool:
        # By itself kombu would verify nobody behind rediss://.
        return self.tls or urlsplit(credentials.url or "").scheme == "rediss"


def tls_options(credentials: Credentials) -> dict[str, Any]:
    """Verify the server, by the mounted authority if there is one."""
    ca_file = credentials.ca_file
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        **({"ssl_ca_certs": str(ca_file)} if ca_file else {}),
    }


def refuse_cluster(client: "redis.Redis", key: str) -> None:
    """Neither kombu nor Celery follows a key to the node of a Redis Cluster that has it.

    Raises:
        SettingsError: the server is a node of one.

    """
    try:
        found: Any = client.info("cluster")
    except ResponseError:
        # A user who may not ask; most services do not offer it anyway.
        return
    if found.get("cluster_enabled"):
        raise SettingsError(
            f"{key} is a Redis Cluster, with which Celery cannot work: it does not follow keys "
            "from node to node. Use a single Redis or Valkey, or one behind Sentinel."
        )


def parse(root: Table) -> Redis:
    """The broker section when its kind is redis."""
    table = root.table("broker", known=("kind", *PLACE, "keyPrefix", "visibilityTimeoutSeconds"))
    return Redis(
        host=table.optional("host", str, ""),
        port=table.integer("port", PORT, least=1, most=65535),
        username=table.optional("username", str, ""),
        database=table.integer("database", 0, least=0, most=2**31 - 1),
        tls=table.flag("tls"),
        key_prefix=table.optional("keyPrefix", str, ""),
        visibility_timeout_seconds=visibility.parse(table, most=2**31 - 1),
        sentinel=parse_sentinel(table),
    )


def parse_sentinel(table: Table) -> Sentinel | None:
    """The sentinels of a section, if it has any."""
    if "sentinel" not in table:
        return None
    if "host" in table:
        raise refuse(table.path("host"), "and sentinel exclude each other. Set one of the two.")
    sentinel = table.table("sentinel", known=("master", "hosts"))
    path = sentinel.path("hosts")
    hosts = sentinel.optional("hosts", list, [])
    if not all(isinstance(host, str) and _HOST.fullmatch(host) for host in hosts):
        raise refuse(path, f"cannot be read. {_HOSTS}.")
    return Sentinel(sentinel.required("master", str), tuple(hosts), path)
