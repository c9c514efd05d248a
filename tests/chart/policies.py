"""What NetworkPolicies let through, by the rules of Kubernetes: a policy only ever adds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
Rule = Mapping[str, Any]
Labels = Mapping[str, str]

SIDES = {"Ingress": "from", "Egress": "to"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """One end of a connection: a pod or, without a namespace, an address outside of the cluster."""

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    address: str = ""
    #: A pod's container ports by name, which rules may use.
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Labels:
        """What Kubernetes itself says of every namespace."""
        return {"kubernetes.io/metadata.name": self.namespace}


def allows(
    policies: Iterable[Policy], source: Place, target: Place, port: int, protocol: str = "TCP"
) -> bool:
    """Tell whether a connection passes what isolates its source and what isolates its target."""
    found = list(policies)
    sides = (("Egress", source, target), ("Ingress", target, source))
    return all(
        not isolates(found, place, direction)
        or any(
            _named(rule.get(SIDES[direction]), other, policy["metadata"]["namespace"])
            and _opens(rule.get("ports"), target, port, protocol)
            for policy in selecting(found, place, direction)
            for rule in policy["spec"].get(direction.lower()) or []
        )
        for direction, place, other in sides
    )


def isolates(policies: Iterable[Policy], place: Place, direction: str) -> bool:
    """Tell whether anything at all is refused in this direction."""
    return bool(selecting(policies, place, direction))


def selecting(policies: Iterable[Policy], place: Place, direction: str) -> list[Policy]:
    """The policies that are about this pod in this direction."""
    return [
        policy
        for policy in policies
        if direction in _types(policy["spec"])
        and policy["metadata"]["namespace"] == place.namespace
        and matches(policy["spec"]["podSelector"], place.labels)
    ]


def _types(spec: Mapping[str, Any]) -> list[str]:
    stated: list[str] | None = spec.get("policyTypes")
    return stated or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _named(peers: list[Mapping[str, Any]] | None, other: Place, home: str) -> bool:
    """Tell whether a rule's peers name the other end; nobody named is everybody."""
    return not peers or any(names(peer, other, home) for peer in peers)


def names(peer: Mapping[str, Any], other: Place, home: str) -> bool:
    """Tell whether a peer, in a policy of the namespace home, is this place."""
    if "ipBlock" in peer:
        return bool(other.address) and _within(peer["ipBlock"], other.address)
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        here = matches(peer["namespaceSelector"], other.namespace_labels)
    else:
        here = other.namespace == home
    return here and matches(peer.get("podSelector", {}), other.labels)


def _within(block: Mapping[str, Any], address: str) -> bool:
    found = ip_address(address)
    spared = any(found in ip_network(each) for each in block.get("except", []))
    return found in ip_network(block["cidr"]) and not spared


def _opens(ports: list[Mapping[str, Any]] | None, target: Place, port: int, protocol: str) -> bool:
    return not ports or any(
        each.get("protocol", "TCP") == protocol and _covers(each, target, port) for each in ports
    )


def _covers(stated: Mapping[str, Any], target: Place, port: int) -> bool:
    first = stated.get("port")
    if isinstance(first, str):
        return target.ports.get(first) == port
    return first is None or first <= port <= stated.get("endPort", first)


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether a label selector, which may be empty, selects these labels."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return wanted.items() <= labels.items() and all(_holds(each, labels) for each in expressions)


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value = labels.get(expression["key"])
    listed = value in expression.get("values", [])
    return {
        "In": listed,
        "NotIn": not listed,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]
