"""What the shop asks of its payment gateway and of the social network, over HTTP."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings

TIMEOUT_SECONDS = 10


class GatewayError(Exception):
    """Something went wrong between the shop and the gateway."""


class GatewayUnavailable(GatewayError):
    """The gateway was not reached or could not answer: another attempt may succeed."""


class GatewayRefused(GatewayError):
    """The gateway has answered and declined: another attempt would be declined too."""


def charge(order_id: int, amount: Decimal, card_token: str, *, run: str, task_id: str) -> str:
    """Charge an order once, however often this is called, and return the charge's reference.

    The order's number is the idempotency key: after a crash between this call and the
    shop's commit, the next call finds the charge instead of making another.
    """
    body = {"amount": str(amount), "card_token": card_token, "run": run, "task_id": task_id}
    answer = _ask("POST", "/charges", body, {"Idempotency-Key": str(order_id)})
    return str(answer["reference"])


def charged_orders(*, since: datetime, until: datetime) -> set[int]:
    """Return the orders charged at the gateway from `since` on and before `until`."""
    query = urlencode({"since": since.isoformat(), "until": until.isoformat()})
    answer = _ask("GET", f"/charges?{query}")
    return {int(key) for key in answer["keys"]}


def social_metrics(user: int) -> dict[str, int]:
    """Return a user's `followers` and `likes`."""
    return _ask("GET", f"/users/{user}/metrics")


def fail_next(count: int) -> None:
    """Tell the gateway to refuse the next `count` charges with 503."""
    _ask("PUT", "/failures", {"count": count})


def _ask(
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    status, text = _exchange(method, path, json.dumps(body) if body else None, headers or {})
    if status >= 500:
        raise GatewayUnavailable(f"{method} {path}: the gateway answered {status}")
    if status >= 400:
        raise GatewayRefused(f"{method} {path}: the gateway answered {status}: {text[:200]}")
    answer: dict[str, Any] = json.loads(text)
    return answer


def _exchange(
    method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> tuple[int, str]:
    url = urlsplit(settings.GATEWAY_URL)
    connection = HTTPConnection(url.hostname or "", url.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as error:
        where = f"{url.hostname}:{url.port or 80}"
        raise GatewayUnavailable(f"no answer from the gateway at {where}: {error!r}") from error
    finally:
        connection.close()
