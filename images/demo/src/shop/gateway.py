"""The payment gateway and the social network's API: what the shop sees of the outside.

An HTTP service of its own (`ROOT_URLCONF=shop.gateway`). Its state is in PostgreSQL, so all
replicas give the same answers. `POST /charges` is idempotent by its `Idempotency-Key`.
"""

from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods

from shop import effects
from shop.models import GatewayCharge, GatewayFailures
from shop.web import BadRequest, amount_of, answers_bad_requests, healthz, json_body

_THE_ROW = 1


@require_http_methods(["GET", "POST"])
@answers_bad_requests
def charges(request: HttpRequest) -> JsonResponse:
    """Charge once per key (POST), or list the keys charged in a time (GET)."""
    return _charge(request) if request.method == "POST" else _list_charges(request)


def _charge(request: HttpRequest) -> JsonResponse:
    key = request.headers.get("Idempotency-Key")
    if not key:
        raise BadRequest("the header Idempotency-Key is missing: send the order's number")
    body = json_body(request)
    amount = amount_of(body)
    if _must_fail():
        return JsonResponse({"error": "try again later"}, status=503)
    who = {"run": body.get("run", ""), "task_id": body.get("task_id", "")}
    with transaction.atomic():
        charge, created = effects.record(GatewayCharge, {"key": key}, amount=amount, **who)
    if charge.amount != amount:
        return JsonResponse({"error": "the key was used for another amount"}, status=409)
    return JsonResponse({"reference": f"ch_{charge.pk}", "created": created})


def _must_fail() -> bool:
    """Use up one of the ordered failures, if there is one left."""
    left = GatewayFailures.objects.filter(pk=_THE_ROW, remaining__gt=0)
    return bool(left.update(remaining=F("remaining") - 1))


def _list_charges(request: HttpRequest) -> JsonResponse:
    since, until = (_time(request, name) for name in ("since", "until"))
    charges = GatewayCharge.objects.filter(created_at__gte=since, created_at__lt=until)
    return JsonResponse({"keys": list(charges.values_list("key", flat=True))})


def _time(request: HttpRequest, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(request.GET.get(name, ""))
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise BadRequest(f"{name} must be an ISO 8601 time with its offset")
    return time


@require_http_methods(["PUT"])
@answers_bad_requests
def failures(request: HttpRequest) -> JsonResponse:
    """Order the next `count` charges to be refused with 503."""
    count = json_body(request).get("count")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise BadRequest("count must be a whole number of zero or more")
    GatewayFailures.objects.update_or_create(pk=_THE_ROW, defaults={"remaining": count})
    return JsonResponse({"count": count})


@require_GET
def user_metrics(_: HttpRequest, user: int) -> JsonResponse:
    """Answer a user's figures: made up, but always the same."""
    digest = sha256(str(user).encode()).digest()
    followers, likes = (int.from_bytes(part) for part in (digest[:2], digest[2:4]))
    return JsonResponse({"user": user, "followers": followers, "likes": likes})


urlpatterns = [
    path("charges", charges),
    path("failures", failures),
    path("users/<int:user>/metrics", user_metrics),
    path("healthz", healthz),
]
