"""As much of prometheus-operator's kinds as the chart uses; a field that is not here is refused."""

from typing import Any

import jsonschema

Schema = dict[str, Any]

DURATION = {"type": "string", "pattern": r"^(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(*required: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


TEXT = {"type": "string", "minLength": 1}
EXPRESSION = _object(
    "key",
    "operator",
    key=TEXT,
    operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
    values=_list(TEXT),
)
SELECTOR = _object(matchLabels=STRINGS, matchExpressions=_list(EXPRESSION))
# By the name of a Service's port here, and of a container's there.
ENDPOINTS = _list(_object("port", port=TEXT, interval=DURATION))
RULE = _object(
    "expr",
    alert=TEXT,
    record=TEXT,
    expr=TEXT,
    labels=STRINGS,
    annotations=STRINGS,
    **{"for": DURATION},
)
SPECS = {
    "ServiceMonitor": _object("selector", "endpoints", selector=SELECTOR, endpoints=ENDPOINTS),
    "PodMonitor": _object(
        "selector", "podMetricsEndpoints", selector=SELECTOR, podMetricsEndpoints=ENDPOINTS
    ),
    "PrometheusRule": _object(
        "groups", groups=_list(_object("name", name=TEXT, rules=_list(RULE)))
    ),
}


def validate(found: dict[str, Any]) -> None:
    """Fail on a field that prometheus-operator does not know or cannot take."""
    assert found["apiVersion"] == "monitoring.coreos.com/v1"
    jsonschema.validate(found["spec"], SPECS[found["kind"]])
