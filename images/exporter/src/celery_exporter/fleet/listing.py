"""The pods of a release, as Kubernetes lists them."""

from typing import Any

import kr8s

from celery_exporter.groups import Groups
from celery_exporter.kubernetes import Kubernetes
from celery_runtime.errors import CeleryRuntimeError

RawPod = dict[str, Any]


class KubernetesAwayError(CeleryRuntimeError):
    """Kubernetes does not say which pods there are."""


class Listing:
    """Asks for the pods of a release; of one thread."""

    def __init__(self, groups: Groups) -> None:
        self._kubernetes = Kubernetes(groups.namespace)
        pairs = [f"{name}={value}" for name, value in groups.labels.items()]
        self._selector = ",".join([*pairs, groups.group_label])

    def pods(self) -> list[RawPod]:
        """All pods that have the labels of the release's workers.

        Raises:
            KubernetesAwayError: it does not answer, or refuses to.

        """
        # Without a version, it reads through to etcd.
        chosen = {"labelSelector": self._selector, "resourceVersion": "0"}
        try:
            return list(self._kubernetes.ask("pods", params=chosen)["items"])
        except Exception as error:  # kr8s lets those of its HTTP client and its own through
            raise KubernetesAwayError(self._explained(error)) from error

    def close(self) -> None:
        """Give the connection up."""
        self._kubernetes.close()

    def _explained(self, error: Exception) -> str:
        namespace = self._kubernetes.namespace
        response = error.response if isinstance(error, kr8s.ServerError) else None
        if response is not None and response.status_code in (401, 403):
            return (
                f"Kubernetes does not let the exporter list the pods of {namespace}: {error}. "
                "Its service account needs the verb list on pods, by a Role in that namespace."
            )
        if not self._kubernetes.is_found and isinstance(error, ValueError):
            return (
                f"Kubernetes cannot be asked for the pods of {namespace}: {error!r}. In a pod, set "
                "automountServiceAccountToken: true; elsewhere KUBECONFIG."
            )
        return (
            f"Kubernetes does not say which pods {namespace} has: {error!r}. If its API server is "
            "up, a network policy may keep the exporter from it."
        )
