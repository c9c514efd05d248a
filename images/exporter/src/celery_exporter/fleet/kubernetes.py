"""The pods of a release, as Kubernetes lists them."""

import asyncio
from typing import Any

import kr8s
from kr8s.asyncio import Api
from kr8s.asyncio import api as connect

from celery_exporter.groups import Groups
from celery_runtime.errors import CeleryRuntimeError

ANSWER_SECONDS = 5

RawPod = dict[str, Any]


class KubernetesAwayError(CeleryRuntimeError):
    """Kubernetes does not say which pods there are."""


class Kubernetes:
    """Asks by the pod's service account, outside of a cluster by a kubeconfig; of one thread."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._runner = asyncio.Runner()
        self._api: Api | None = None

    def pods(self) -> list[RawPod]:
        """All pods that have the labels of the release's workers.

        Raises:
            KubernetesAwayError: it does not answer, or refuses to.

        """
        try:
            return self._runner.run(self._list())
        except Exception as error:  # kr8s lets those of its HTTP client and its own through
            raise KubernetesAwayError(self._explained(error)) from error

    def close(self) -> None:
        """Give the connection up."""
        self._api = None
        self._runner.close()

    async def _list(self) -> list[RawPod]:
        # Also for the first question, which kr8s bounds by nothing.
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._api is None:
                self._api = await connect()
            # Not its get(): that reads through to etcd, and asks for each hundred pods anew.
            async with self._api.call_api(
                namespace=self._groups.namespace,
                url="pods",
                params={"labelSelector": self._selector(), "resourceVersion": "0"},
            ) as answer:
                return list(answer.json()["items"])

    def _selector(self) -> str:
        pairs = [f"{name}={value}" for name, value in self._groups.labels.items()]
        return ",".join([*pairs, self._groups.group_label])

    def _explained(self, error: Exception) -> str:
        namespace = self._groups.namespace
        response = error.response if isinstance(error, kr8s.ServerError) else None
        if response is not None and response.status_code in (401, 403):
            return (
                f"Kubernetes does not let the exporter list the pods of {namespace}: {error}. "
                "Its service account needs the verb list on pods, by a Role in that namespace."
            )
        if self._api is None and isinstance(error, ValueError):
            return (
                f"Kubernetes cannot be asked for the pods of {namespace}: {error!r}. In a pod, set "
                "automountServiceAccountToken: true; elsewhere KUBECONFIG."
            )
        return (
            f"Kubernetes does not say which pods {namespace} has: {error!r}. If its API server is "
            "up, a network policy may keep the exporter from it."
        )
