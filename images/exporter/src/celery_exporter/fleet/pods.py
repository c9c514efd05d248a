"""What Kubernetes says of one pod."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
ENDED_PHASES = frozenset({"Succeeded", "Failed"})
RUNNING_PHASE = "Running"


@dataclass(frozen=True, kw_only=True)
class ListedPod:
    """A pod that has not ended."""

    #: Another for each pod, also where a name comes again.
    uid: str
    name: str
    group: str
    ready: bool
    deleting: bool
    #: Where its worker may answer; None where no container runs.
    address: str | None
    #: From its creation until it was last found ready; None where it is not.
    ready_after_seconds: float | None
    deletion_cost: int


def listed(raw: Mapping[str, Any], *, group_label: str) -> ListedPod | None:
    """The pod; None where it has ended."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    if status.get("phase") in ENDED_PHASES:
        return None
    ready_at = _ready_at(status)
    return ListedPod(
        uid=metadata["uid"],
        name=metadata["name"],
        group=(metadata.get("labels") or {}).get(group_label, ""),
        ready=ready_at is not None,
        deleting=metadata.get("deletionTimestamp") is not None,
        address=status.get("podIP") if status.get("phase") == RUNNING_PHASE else None,
        ready_after_seconds=_between(metadata.get("creationTimestamp"), ready_at),
        deletion_cost=_cost(metadata.get("annotations") or {}),
    )


def _ready_at(status: Mapping[str, Any]) -> str | None:
    """When it was last found ready; None where it is not, empty where that is not said."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return condition.get("lastTransitionTime") or ""
    return None


def _between(earlier: str | None, later: str | None) -> float | None:
    if not earlier or not later:
        return None
    seconds = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    # Two clocks: the API server's and the node's.
    return max(0.0, seconds.total_seconds())


def _cost(annotations: Mapping[str, str]) -> int:
    try:
        return int(annotations.get(DELETION_COST, ""))
    except ValueError:
        return 0
