"""The Redis where workers tell each other what they know, and what to do while it is away."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from celery import Celery, Task
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from celery_runtime.coordination.calls import has_message
from celery_runtime.coordination.putback import put_back
from celery_runtime.errors import SettingsError, StoreAwayError
from celery_runtime.settings.shipped import REDIS_MAX_CONNECTIONS

WhenAway = Literal["refuse", "run"]

CONNECT_TIMEOUT_SECONDS = 2
TIMEOUT_SECONDS = 5
#: A connection that was idle over a restart of Redis is known to be dead only by its use.
RETRIES = 1

#: An outage is over when an answer comes this long after the last failure: a Redis that answers
#: every other time is one outage.
QUIET_SECONDS = 5
#: Put back for this long, and up to twice as long, so that not all come back at one moment.
AWAY_DELAY_SECONDS = 5

_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
#: RedBeat's: who the sentinels are is among its options.
_SENTINEL = "redis-sentinel"
_SCHEMES = ("redis", "rediss", _SENTINEL)

logger = logging.getLogger(__name__)


class Outage:
    """Says once that Redis is away and once that it is back, however many tasks notice."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_at: float | None = None
        self._failed_at = 0.0

    def failed(self, error: Exception) -> None:
        """A command was not answered."""
        with self._lock:
            self._failed_at = self._clock()
            first = self._began_at is None
            if first:
                self._began_at = self._failed_at
        if first:
            logger.warning(
                "Redis is away (%s). Tasks that need it are put back, or run without it.", error
            )

    def answered(self) -> None:
        """A command was answered."""
        if self._began_at is None:
            return
        with self._lock:
            now = self._clock()
            if self._began_at is None or now - self._failed_at < QUIET_SECONDS:
                return
            away_seconds, self._began_at = now - self._began_at, None
        logger.info("Redis answers again, %.0f s after it went away.", away_seconds)


class Store:
    """A Redis and the prefix of the app's keys in it."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self.redis = redis
        self._prefix = prefix
        self._outage = Outage()

    def key(self, *parts: str) -> str:
        """The name of a key of this app."""
        return ":".join((self._prefix, *parts))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask Redis within this.

        Raises:
            StoreAwayError: it did not answer, or takes no writes.

        """
        try:
            yield
        except _AWAY as error:
            self._outage.failed(error)
            raise StoreAwayError(f"Redis is away ({error}).") from error
        self._outage.answered()


_stores: "WeakKeyDictionary[Celery, Store]" = WeakKeyDictionary()


def of(app: Celery) -> Store:
    """The store of an app, one a process; nothing is connected to yet.

    Raises:
        SettingsError: neither redbeat_redis_url nor result_backend is a Redis.

    """
    if app not in _stores:
        # Connections are made later, and redis-py makes new ones after a fork.
        _stores[app] = Store(_client(app), key_prefix(app))
    return _stores[app]


def key_prefix(app: Celery) -> str:
    """What keeps the keys of two apps, or of two releases with a redbeat_key_prefix each, apart."""
    own = str(app.conf.get("redbeat_key_prefix") or "").rstrip(":")
    return f"{own}:{app.main or 'celery'}".lstrip(":")


def refuse(task: Task, away: StoreAwayError) -> NoReturn:
    """Put the task back until Redis is there; a call without a message gets the error."""
    if not has_message(task):
        raise away
    delay_seconds = random.uniform(1, 2) * AWAY_DELAY_SECONDS  # noqa: S311 # no secret
    put_back(task, delay_seconds=delay_seconds, reason=str(away))


def _client(app: Celery) -> "Redis":
    url = redis_url(app)
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "max_connections": REDIS_MAX_CONNECTIONS,
        "retry": Retry(NoBackoff(), RETRIES),
        **_tls(app, url),
    }
    if url.startswith(_SENTINEL):
        return _master(app.conf.redbeat_redis_options, options)
    return Redis.from_url(url, **options)


def _master(redbeat: Mapping[str, Any], options: Mapping[str, Any]) -> "Redis":
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        redbeat["sentinels"], sentinel_kwargs=redbeat["sentinel_kwargs"]
    )
    login = {key: redbeat[key] for key in ("username", "password", "db")}
    master: Redis = sentinels.master_for(redbeat["service_name"], **login, **options)
    return master


def redis_url(app: Celery) -> str:
    """Where the app's schedule or results are, if that is a Redis."""
    for setting in ("redbeat_redis_url", "result_backend"):
        url = app.conf.get(setting)
        # Never the URL in a message: it carries the password.
        if isinstance(url, str) and urlsplit(url).scheme in _SCHEMES:
            return url
    raise SettingsError(
        "@once and TokenBucket need a Redis, but neither redbeat_redis_url nor result_backend is a "
        "redis:// or rediss:// URL. Set redbeat_redis_url in the app's configuration."
    )


def _tls(app: Celery, url: str) -> dict[str, Any]:
    options = app.conf.get("redbeat_redis_use_ssl") or app.conf.get("redis_backend_use_ssl")
    if not isinstance(options, dict) or not url.startswith(("rediss", _SENTINEL)):
        return {}
    return {**options, **({"ssl": True} if url.startswith(_SENTINEL) else {})}
