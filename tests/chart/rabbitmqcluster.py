"""What RabbitMQ's cluster operator takes of a RabbitmqCluster: the fields that the chart may set.

By its CRD of version 2; its Go module cannot be had, so that no test runs the operator itself.
"""

from typing import Any

import jsonschema

STRING = {"type": "string"}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
TERMS = {"type": "array", "items": {"type": "object"}}


def _strict(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 # schemas
    return {"type": "object", "additionalProperties": False, "properties": properties}


SCHEMA = _strict(
    apiVersion={"const": "rabbitmq.com/v1beta1"},
    kind={"const": "RabbitmqCluster"},
    metadata={"type": "object"},
    spec=_strict(
        image=STRING,
        imagePullSecrets={"type": "array", "items": _strict(name=STRING)},
        replicas={"type": "integer", "minimum": 0},
        persistence=_strict(storage={"type": ["string", "integer"]}, storageClassName=STRING),
        resources=_strict(limits=QUANTITIES, requests=QUANTITIES),
        terminationGracePeriodSeconds={"type": "integer", "minimum": 0},
        tls=_strict(secretName=STRING, disableNonTLSListeners={"type": "boolean"}),
        tolerations=TERMS,
        affinity=_strict(
            nodeAffinity={"type": "object"},
            podAffinity={"type": "object"},
            podAntiAffinity=_strict(
                preferredDuringSchedulingIgnoredDuringExecution=TERMS,
                requiredDuringSchedulingIgnoredDuringExecution=TERMS,
            ),
        ),
        rabbitmq=_strict(additionalConfig={"type": "string", "maxLength": 2000}),
    ),
)


def validate(found: dict[str, Any]) -> None:
    """Fail on a field that the operator does not know or cannot take."""
    jsonschema.validate(found, SCHEMA)
