"""The shop's web API: a producer. It answers with the ids of the tasks that it has sent.

No accounts and no cookies: it is a demo, reached from inside of the cluster only.
"""

from collections.abc import Callable, Sequence
from uuid import uuid4

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST
from kombu.exceptions import OperationalError

from shop import photos, pipelines, runs
from shop.accounting import Expected
from shop.models import Order
from shop.web import BadRequest, amount_of, answers_bad_requests, json_body, number_of

# What one request may ask for: it is answered when all is sent.
MOST_HOLDS = 1000
MOST_HOLD_SECONDS = 3600


@require_POST
@answers_bad_requests
def orders(request: HttpRequest) -> JsonResponse:
    """Take an order of `amount`; charging it is another request."""
    body = json_body(request)
    token = str(body.get("card_token", "tok_web"))
    order = Order.objects.create(run=_run(request), amount=amount_of(body), card_token=token)
    return JsonResponse({"order": order.pk}, status=201)


@require_POST
@answers_bad_requests
def charge(request: HttpRequest, number: int) -> JsonResponse:
    """Have an order charged."""
    order = get_object_or_404(Order, pk=number)
    return _accept(request, lambda run: [pipelines.charge(order.pk, run)])


@require_POST
@answers_bad_requests
def metrics(request: HttpRequest, user: int) -> JsonResponse:
    """Have a user's figures fetched."""
    return _accept(request, lambda run: pipelines.send_metrics(run, [user]))


@require_POST
@answers_bad_requests
def thumbnails(request: HttpRequest, photo: str) -> JsonResponse:
    """Have a photograph's thumbnails and contact sheet made."""
    try:
        photos.locate(settings.PHOTOS_DIR, photo)
    except FileNotFoundError as error:
        raise Http404(str(error)) from error
    return _accept(request, lambda run: pipelines.send_thumbnails(run, photo))


@require_POST
@answers_bad_requests
def emails(request: HttpRequest) -> JsonResponse:
    """Have a message sent to `to` with `subject`."""
    body = json_body(request)
    if not body.get("to") or not body.get("subject"):
        raise BadRequest('both "to" and "subject" are needed')
    to, subject, key = str(body["to"]), str(body["subject"]), str(body.get("key") or uuid4())
    return _accept(request, lambda run: [pipelines.email(to, subject, key, run)])


@require_POST
@answers_bad_requests
def holds(request: HttpRequest) -> JsonResponse:
    """Have `count` slots of the workers of `queue` held for `seconds` each."""
    body = json_body(request)
    queue = str(body.get("queue", "default"))
    count = int(number_of(body, "count", default=1, most=MOST_HOLDS))
    seconds = number_of(body, "seconds", default=10, most=MOST_HOLD_SECONDS)
    try:
        pipelines.refuse_unknown(queue)
    except pipelines.UnknownQueue as error:
        raise BadRequest(f"queue {error}") from error
    return _accept(request, lambda run: pipelines.send_holds(run, queue, count, seconds))


@require_GET
def run(_: HttpRequest, run_id: str) -> JsonResponse:
    """Answer a run's progress and report."""
    account = runs.account(run_id)
    if not account.records and not account.expected:
        return JsonResponse({"error": f"no run {run_id!r}"}, status=404)
    return JsonResponse({**runs.report(run_id), "progress": account.progress()})


def _run(request: HttpRequest) -> str:
    """Return the run that a request belongs to: its own, unless it names one."""
    return str(json_body(request).get("run") or f"web-{uuid4().hex[:12]}")


def _accept(request: HttpRequest, send: Callable[[str], Sequence[Expected]]) -> JsonResponse:
    """Send, and answer 202 with what was sent; 503 if the broker does not take it."""
    run_id = _run(request)
    try:
        sent = send(run_id)
    except OperationalError as error:
        return JsonResponse({"error": f"the broker does not answer: {error}"}, status=503)
    return JsonResponse({"run": run_id, "task_ids": [task.task_id for task in sent]}, status=202)
