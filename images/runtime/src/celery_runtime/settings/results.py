"""The Redis of results, of beat's schedule and lock, and of what workers tell each other."""

from dataclasses import dataclass
from typing import Any

from celery_runtime.brokers import redis
from celery_runtime.settings.credentials import Credentials, address
from celery_runtime.settings.document import Table
from celery_runtime.settings.shipped import SHIPPED

SCHEMES = ("redis", "rediss")
#: RedBeat's word for "ask the sentinels"; who they are is among its options.
REDBEAT_SENTINEL_URL = "redis-sentinel://"
OPTIONS = "redbeat_redis_options"


@dataclass(frozen=True)
class ResultBackend:
    """Where results go; the host is empty when a whole URL is mounted, or behind sentinels."""

    host: str
    port: int
    username: str
    database: int
    tls: bool
    sentinel: redis.Sentinel | None

    def configuration(self, credentials: Credentials) -> dict[str, Any]:
        """The settings of Celery and of RedBeat, which ask in different ways."""
        if self.sentinel:
            return self._behind_sentinels(self.sentinel, credentials)
        url = self._url(credentials)
        encrypted = url.startswith("rediss://")
        return {
            "result_backend": url,
            "redbeat_redis_url": url,
            **(_tls(credentials) if encrypted else {}),
        }

    def _url(self, credentials: Credentials) -> str:
        if whole := credentials.whole_url(*(("rediss",) if self.tls else SCHEMES)):
            return whole
        where = address(self.host, self.port, "resultBackend")
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{credentials.login(self.username)}@{where}/{self.database}"

    def _behind_sentinels(
        self, sentinel: redis.Sentinel, credentials: Credentials
    ) -> dict[str, Any]:
        options = sentinel.options(credentials, tls=self.tls)
        return {
            "result_backend": sentinel.urls(credentials.login(self.username), self.database),
            "result_backend_transport_options": options,
            "redbeat_redis_url": REDBEAT_SENTINEL_URL,
            OPTIONS: {
                **SHIPPED[OPTIONS],
                "sentinels": sentinel.addresses(),
                "service_name": sentinel.master,
                "sentinel_kwargs": options["sentinel_kwargs"],
                "username": self.username or credentials.username,
                "password": credentials.password,
                "db": self.database,
            },
            **(_tls(credentials) if self.tls else {}),
        }


def _tls(credentials: Credentials) -> dict[str, Any]:
    """For Celery and RedBeat, which name a check in a URL differently and refuse each other's."""
    options = redis.tls_options(credentials)
    return {"redis_backend_use_ssl": options, "redbeat_redis_use_ssl": options}


def parse(root: Table) -> ResultBackend:
    """The resultBackend section of settings.json."""
    table = root.table("resultBackend", known=("kind", *redis.PLACE))
    table.choice("kind", "redis")
    return ResultBackend(
        host=table.optional("host", str, ""),
        port=table.integer("port", redis.PORT, least=1, most=65535),
        username=table.optional("username", str, ""),
        database=table.integer("database", 0, least=0, most=2**31 - 1),
        tls=table.flag("tls"),
        sentinel=redis.parse_sentinel(table),
    )
