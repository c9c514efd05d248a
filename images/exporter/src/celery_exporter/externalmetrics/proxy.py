"""Who may ask: the API server's front proxy, as Kubernetes says who that is.

The API server has asked its own authorization before it passes a request on.
"""

import json
from dataclasses import dataclass
from typing import Any

import kr8s
from kr8s.objects import ConfigMap

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"


@dataclass(frozen=True)
class FrontProxy:
    """The authority of its certificate, and the names that the certificate may have."""

    authority: str
    #: Empty: any.
    names: frozenset[str]

    def admits(self, certificate: Any) -> bool:  # noqa: ANN401 # as `ssl` gives it
        """Whether this certificate, which the authority has signed, is the front proxy's."""
        subject = certificate.get("subject", ()) if certificate else ()
        names = {value for part in subject for key, value in part if key == "commonName"}
        return bool(certificate) and (not self.names or bool(names & self.names))


def read() -> FrontProxy:
    """Ask Kubernetes; raises what its client raises.

    Raises:
        LookupError: the ConfigMap says nothing of a front proxy.

    """
    found = ConfigMap.get(NAME, namespace=NAMESPACE, api=kr8s.api())
    return parse(dict(found.raw["data"]))


def parse(data: dict[str, str]) -> FrontProxy:
    """What the ConfigMap says."""
    if not data.get("requestheader-client-ca-file"):
        raise LookupError(
            f"The ConfigMap {NAMESPACE}/{NAME} has no requestheader-client-ca-file: this cluster's "
            "API server aggregates no APIs. Use autoscaling.mode keda instead."
        )
    return FrontProxy(
        authority=data["requestheader-client-ca-file"],
        names=frozenset(json.loads(data.get("requestheader-allowed-names") or "[]")),
    )
