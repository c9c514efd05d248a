"""Tells Kubernetes what pods cost; what it refuses stops nothing."""

import logging
from collections.abc import Callable, Mapping

import kr8s
from kr8s.objects import Pod

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"

#: Writes a pod's cost; raises what goes wrong.
Patch = Callable[[str, int], None]

logger = logging.getLogger(__name__)


class Marker:
    """Writes costs, and counts what became of it."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._was_refused = False
        self.patched = 0
        self.refused = 0

    def mark(self, costs: Mapping[str, int]) -> None:
        """Write each pod's cost."""
        for name, cost in costs.items():
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
            self._was_refused = False


def patch_of(namespace: str) -> Patch:
    """Patches pods of a namespace."""

    def patch(name: str, cost: int) -> None:
        api = kr8s.api(namespace=namespace)
        pod = Pod({"metadata": {"name": name, "namespace": namespace}}, api=api)
        pod.patch({"metadata": {"annotations": {ANNOTATION: str(cost)}}})

    return patch
