"""Reading configuration from environment variables."""

import os
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

CONNECT_TIMEOUT_SECONDS = 5
CONNECTION_SECONDS = 60


def whole_number(key: str, *, default: int) -> int:
    """Return the environment variable `key` as a number of one or more."""
    text = os.environ.get(key, str(default))
    if not text.isdecimal() or not int(text):
        raise ImproperlyConfigured(
            f"{key} must be a whole number above 0, such as {default}; it is {text!r}"
        )
    return int(text)


def database_from_url(url: str) -> dict[str, object]:
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
        # A task has a connection of its own, which Celery closes; a web server's thread keeps one.
        "CONN_MAX_AGE": CONNECTION_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": CONNECT_TIMEOUT_SECONDS},
    }


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 5432
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL: the port must be a number up to 65535") from error
