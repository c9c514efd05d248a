"""KEDA's own schemas, where its Go module has been downloaded (the cluster's tools bring it)."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

CRDS = "github.com/kedacore/keda/v2@*/config/crd/bases/keda.sh_{plural}.yaml"
PLURALS = {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"}


def validate(found: dict[str, Any]) -> None:
    """Fail on a field that KEDA does not know or cannot take; without the module, on none."""
    schema = _schema(PLURALS[found["kind"]])
    if schema is not None:
        jsonschema.validate(found, schema)


@cache
def _schema(plural: str) -> dict[str, Any] | None:
    go = Path(os.environ.get("GOPATH") or Path.home() / "go")
    modules = Path(os.environ.get("GOMODCACHE") or go / "pkg" / "mod")
    files = sorted(modules.glob(CRDS.format(plural=plural)))
    if not files:
        return None
    (version,) = yaml.safe_load(files[-1].read_text(encoding="utf-8"))["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    # Kubernetes' own.
    del schema["properties"]["metadata"]
    return _strict(schema, metadata={})


def _strict(schema: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    """Kubernetes drops a field that is not in the schema; a test wants to hear of it."""
    properties = {name: _strict(each) for name, each in schema.get("properties", {}).items()}
    strict = {**schema, **({"properties": properties | more} if properties else {})}
    if properties and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        strict["additionalProperties"] = _strict(schema["additionalProperties"])
    if isinstance(schema.get("items"), dict):
        strict["items"] = _strict(schema["items"])
    return strict
