"""Tells Kubernetes what pods cost; what it refuses stops nothing."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping

from kr8s.asyncio import Api
from kr8s.asyncio import api as connect

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
ANSWER_SECONDS = 5

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


class Patcher:
    """Writes costs to the pods of a namespace; of one thread."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._runner = asyncio.Runner()
        self._api: Api | None = None

    def __call__(self, name: str, cost: int) -> None:
        """Write a pod's cost; raises what goes wrong."""
        change = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        self._runner.run(self._patch(name, json.dumps(change)))

    async def _patch(self, name: str, change: str) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._api is None:
                self._api = await connect()
            # Not a Pod's patch(): kr8s reads the whole answer into its own kind of dictionary.
            async with self._api.call_api(
                "PATCH",
                namespace=self._namespace,
                url=f"pods/{name}",
                content=change,
                headers={"Content-Type": "application/merge-patch+json"},
            ):
                pass
