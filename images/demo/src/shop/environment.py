"""Reading configuration from environment variables."""

import os
import sys
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

CONNECT_TIMEOUT_SECONDS = 5
CONNECTION_SECONDS = 60
#: Celery's default is to close a process' connection before and after each task.
TASKS_PER_CONNECTION = 100
#: More than a gevent worker's tasks at a time: each keeps one for as long as it runs.
MOST_CONNECTIONS = 100


def whole_number(key: str, *, default: int) -> int:
    """Return the environment variable `key` as a number of one or more."""
    text = os.environ.get(key, str(default))
    if not text.isdecimal() or not int(text):
        raise ImproperlyConfigured(
            f"{key} must be a whole number above 0, such as {default}; it is {text!r}"
        )
    return int(text)


def database_from_url(url: str) -> dict[str, Any]:
    """Return Django's description of the PostgreSQL database that `url` names.

    User, password and name are percent-decoded. The message of a refusal never
    contains the URL, since that holds the password.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.hostname or not parts.path[1:]:
        raise ImproperlyConfigured(
            "DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/NAME "
            "(characters such as @ and / percent-encoded)"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": _port(parts),
        "CONN_HEALTH_CHECKS": True,
        **_keeping(),
    }


def _keeping() -> dict[str, Any]:
    """How long connections are kept.

    Under gevent each task is a thread to Django and would make one of its own, at ten times the
    price of what it asks: they come from a pool. A web server's thread keeps its one, and so does a
    process of prefork (see TASKS_PER_CONNECTION).
    """
    timeout = {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
    if not under_gevent():
        return {"CONN_MAX_AGE": CONNECTION_SECONDS, "OPTIONS": timeout}
    pool = {"min_size": 0, "max_size": MOST_CONNECTIONS, "timeout": CONNECT_TIMEOUT_SECONDS}
    return {"OPTIONS": {**timeout, "pool": pool}}


def under_gevent() -> bool:
    """Tell whether this process' threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 5432
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL: the port must be a number up to 65535") from error
