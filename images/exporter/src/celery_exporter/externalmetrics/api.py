"""What each path of the API is answered: pure, from what is known at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from celery_exporter.externalmetrics.selectors import Selector, SelectorError
from celery_exporter.readings import Reading
from celery_exporter.scaling import Plan

GROUP = "external.metrics.k8s.io"
VERSION = f"{GROUP}/v1beta1"
DESIRED = "celery_desired_replicas"
READY = "rabbitmq_queue_messages_ready"
#: Each metric, and the label that tells its values apart.
METRICS = {DESIRED: "group", READY: "queue"}
#: /apis/GROUP/v1beta1/namespaces/NAMESPACE/METRIC.
_PARTS_OF_A_METRIC = 6

Document = dict[str, Any]


class View(Protocol):
    """What is known."""

    @property
    def plans(self) -> Mapping[str, Plan]:
        """By worker group."""

    @property
    def reading(self) -> Reading:
        """How full the queues are."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status and a document."""

    status: HTTPStatus
    document: Document


def answer(target: str, view: View, *, namespace: str, now: float) -> Answer:
    """The answer to a GET of this path and query."""
    url = urlsplit(target)
    path = url.path.rstrip("/")
    if path in _DISCOVERY:
        return Answer(status=HTTPStatus.OK, document=_DISCOVERY[path])
    parts = [unquote(part) for part in path.split("/")[1:]]
    if len(parts) != _PARTS_OF_A_METRIC or parts[:4] != ["apis", GROUP, "v1beta1", "namespaces"]:
        return refusal(HTTPStatus.NOT_FOUND, f"There is nothing at {url.path}.")
    if parts[5] not in METRICS:
        known = ", ".join(METRICS)
        return refusal(
            HTTPStatus.NOT_FOUND, f"There is no metric {parts[5]!r}. Known are: {known}."
        )
    if parts[4] != namespace:
        return refusal(
            HTTPStatus.NOT_FOUND,
            f"The metrics of the namespace {parts[4]!r} are not here; those of {namespace!r} are.",
        )
    selector = parse_qs(url.query).get("labelSelector", [""])[0]
    return _values(parts[5], selector, view, now)


def refusal(status: HTTPStatus, message: str) -> Answer:
    """An error, as Kubernetes' clients read it."""
    return Answer(
        status=status,
        document={
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": _REASONS[status],
            "code": int(status),
        },
    )


def _values(metric: str, selector: str, view: View, now: float) -> Answer:
    label = METRICS[metric]
    try:
        chosen = Selector.parse(selector)
    except SelectorError as error:
        return refusal(HTTPStatus.BAD_REQUEST, str(error))
    values = _desired(view) if metric == DESIRED else _ready(view)
    found = {name: value for name, value in values.items() if chosen.matches({label: name})}
    if not found:
        return refusal(
            HTTPStatus.NOT_FOUND,
            f"No {label} matches {selector!r}. Known are: {', '.join(sorted(values)) or 'none'}.",
        )
    unknown = sorted(name for name, value in found.items() if value is None)
    if unknown:
        # An error, and no value: an HPA then leaves everything as it is.
        return refusal(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{metric} is not known of {', '.join(unknown)}: see the exporter's log and its page.",
        )
    items = [_item(metric, {label: name}, value, now) for name, value in found.items()]
    return Answer(
        status=HTTPStatus.OK,
        document={
            "kind": "ExternalMetricValueList",
            "apiVersion": VERSION,
            "metadata": {},
            "items": items,
        },
    )


def _desired(view: View) -> dict[str, int | None]:
    return {name: plan.metric_value for name, plan in view.plans.items() if plan.group.autoscaling}


def _ready(view: View) -> dict[str, int | None]:
    reading = view.reading
    return {
        **dict.fromkeys(reading.unread),
        **{name: depth.ready for name, depth in reading.depths.items()},
    }


def _item(metric: str, labels: Mapping[str, str], value: int | None, now: float) -> Document:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metricName": metric,
        "metricLabels": dict(labels),
        "timestamp": moment,
        "value": str(value),
    }


_REASONS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}
_VERSION_ENTRY = {"groupVersion": VERSION, "version": "v1beta1"}
_API_GROUP = {
    "name": GROUP,
    "versions": [_VERSION_ENTRY],
    "preferredVersion": _VERSION_ENTRY,
}
_DISCOVERY: Mapping[str, Document] = {
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_API_GROUP]},
    f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **_API_GROUP},
    f"/apis/{VERSION}": {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": VERSION,
        "resources": [
            {
                "name": metric,
                "singularName": "",
                "namespaced": True,
                "kind": "ExternalMetricValueList",
                "verbs": ["get"],
            }
            for metric in METRICS
        ],
    },
}
