"""Reading requests and refusing bad ones, for both of the image's web services."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from shop.models import TaskRun

# What the database's columns hold.
MOST = Decimal(10**8)
View = Callable[..., HttpResponseBase]


class BadRequest(ValueError):
    """The request cannot be understood; the message says what to change."""


def json_body(request: HttpRequest) -> dict[str, Any]:
    """Return the request's JSON object; an empty body is an empty object."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise BadRequest("the body must be JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def amount_of(body: Mapping[str, object]) -> Decimal:
    """Return the amount of money that a request's body states."""
    try:
        amount = Decimal(str(body.get("amount")))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 < amount < MOST:
        raise BadRequest(f'amount must be a number in a string, such as "12.50", up to {MOST}')
    return amount.quantize(Decimal("0.01"))


def number_of(body: Mapping[str, object], key: str, *, default: float, most: float) -> float:
    """Return a number of a request's body, from 0 to `most`."""
    number = body.get(key, default)
    if not isinstance(number, int | float) or not 0 <= number <= most:
        raise BadRequest(f"{key} must be a number from 0 to {most:g}")
    return float(number)


def answers_bad_requests(view: View) -> View:
    """Turn a `BadRequest` of `view` into a 400 with its message."""

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except BadRequest as error:
            return JsonResponse({"error": str(error)}, status=400)

    return answer


def healthz(_: HttpRequest) -> JsonResponse:
    """Answer 200 when the database is there and migrated, else 503."""
    try:
        TaskRun.objects.exists()
    except Error as error:
        return JsonResponse({"status": "unavailable", "reason": str(error)}, status=503)
    return JsonResponse({"status": "ok"})
