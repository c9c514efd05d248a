"""Tells Kubernetes what pods cost; what it refuses stops nothing."""

import json
import logging
from collections.abc import Callable, Mapping

from celery_exporter.kubernetes import Kubernetes

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"

#: Writes a pod's cost; raises what goes wrong.
Patch = Callable[[str, int], None]

logger = logging.getLogger(__name__)


class Marker:
    """Writes costs, and counts what became of it."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._was_refused = False
        #: What was written and not been read again: pods are read less often than they are marked.
        self._written: dict[str, int] = {}
        self.patched = 0
        self.refused = 0

    def mark(self, costs: Mapping[str, int]) -> None:
        """Write each pod's cost, once."""
        self._written = {name: self._written[name] for name in costs if name in self._written}
        for name, cost in costs.items():
            if self._written.get(name) != cost:
                self._mark(name, cost)

    def _mark(self, name: str, cost: int) -> None:
        try:
            self._patch(name, cost)
        except Exception as error:  # refused, changed meanwhile, gone: the next one may do
            self.refused += 1
            if not self._was_refused:
                logger.warning(
                    "The deletion cost of pod %s cannot be set, so a busy pod may go before an "
                    "idle one. May the exporter patch pods? %r",
                    name,
                    error,
                )
            self._was_refused = True
        else:
            self.patched += 1
            self._written[name] = cost
            self._was_refused = False


def patcher(kubernetes: Kubernetes) -> Patch:
    """Write costs to the pods of its namespace."""

    def patch(name: str, cost: int) -> None:
        change = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        kubernetes.ask(
            f"pods/{name}",
            "PATCH",
            content=json.dumps(change),
            headers={"Content-Type": "application/merge-patch+json"},
        )

    return patch
