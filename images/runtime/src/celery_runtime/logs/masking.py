"""No secret in a log line: the mounted passwords in every spelling, and every URL's password."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from celery_runtime.settings.credentials import Credentials, Secrets

MASK = "**"

#: `://user:password@`. A password may hold an "@" that nobody encoded, so it ends at the last one
#: before a space or the next URL of a list; but `://host:8080/a@b` has a port, not a password.
_URL_PASSWORD = re.compile(r"(://[^\s:/?#@\[]*:)(?!\d+[/?#])(?:(?!://)\S)+@")

#: Named by the code, never by what flows through it.
_NAMES = frozenset({"time", "level", "logger"})


def passwords(secrets: Secrets) -> set[str]:
    """Every password among the secrets, those inside of mounted URLs too."""
    return {password for each in vars(secrets).values() for password in _passwords(each)}


class Masker:
    """Takes the passwords out of a finished line, and leaves the line JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = sorted({text for secret in secrets for text in _spellings(secret)}, key=len)
        # The longest first: one password may be a part of another.
        self._exact = (
            re.compile("|".join(map(re.escape, reversed(spellings)))) if spellings else None
        )
        self._in_json = tuple({_escaped(text) for text in spellings})

    def line(self, line: str) -> str:
        """The line without passwords; nearly all lines are found clean by a search for each."""
        exact = any(text in line for text in self._in_json)
        if not exact and not ("://" in line and _URL_PASSWORD.search(line)):
            return line
        # Not in the text itself: a password of digits would break a number.
        fields: dict[str, Any] = json.loads(line)
        return json.dumps(
            {key: value if key in _NAMES else self._value(value) for key, value in fields.items()}
        )

    def _value(self, value: Any) -> Any:  # noqa: ANN401 # whatever JSON has
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, dict):
            return {self._text(key): self._value(each) for key, each in value.items()}
        return value if self._text(str(value)) == str(value) else MASK

    def _text(self, text: str) -> str:
        masked = self._exact.sub(MASK, text) if self._exact else text
        return _URL_PASSWORD.sub(rf"\g<1>{MASK}@", masked)


def _passwords(credentials: Credentials) -> Iterator[str]:
    yield from filter(None, (credentials.password, credentials.sentinel_password))
    # Sentinels are a list of URLs, each with its own password.
    for url in (credentials.url or "").split(";"):
        parts = urlsplit(url)
        user_info = parts.netloc.rpartition("@")[0]
        if password := user_info.partition(":")[2]:
            yield unquote(password)
        yield from (value for key, value in parse_qsl(parts.query) if "password" in key)


def _spellings(secret: str) -> set[str]:
    """As it is, as part of a URL, as Python and JSON would quote it."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        _escaped(secret),
    }


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]
