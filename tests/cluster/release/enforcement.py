"""NetworkPolicies enforced by the nodes' iptables, for clusters whose network does not.

New rules are made every second of what there is. Only pods of one namespace are isolated.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ci import cluster
from tests.chart.policies import SIDES, Place, Policy, Rule, names, selecting
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop, repeating

CHAIN = "POLICIES"
EVERY_SECONDS = 1
#: The other end of a connection in a rule of iptables.
OTHER = {"Ingress": "--source", "Egress": "--destination"}
OWN = {"Ingress": "--destination", "Egress": "--source"}


@contextmanager
def enforced(shop: Shop) -> Iterator[None]:
    """Refuse what the policies of the shop's namespace refuse, for as long as it lasts."""
    nodes = Nodes(cluster.current())

    def renew() -> None:
        chains, lines = rules(*_seen(shop))
        nodes.fill(lines, *chains)

    renew()
    with nodes.first(CHAIN), repeating(renew, every_seconds=EVERY_SECONDS):
        yield


def rules(policies: Sequence[Policy], pods: Sequence[Place]) -> tuple[list[str], list[str]]:
    """The chains, one more for each isolated pod and direction, and the rules in them."""
    chains, jumps, lines = [CHAIN], [], []
    for number, pod in enumerate(pods):
        for direction in SIDES:
            if about := selecting(policies, pod, direction):
                chain = f"POLICY-{number}-{direction}"
                chains.append(chain)
                jumps.append(f"-A {CHAIN} {OWN[direction]} {pod.address} -j {chain}")
                lines += [
                    " ".join(["-A", chain, *passing, "-j RETURN"])
                    for policy in about
                    for rule in policy["spec"].get(direction.lower()) or []
                    for passing in _passing(rule, direction, policy["metadata"]["namespace"], pods)
                ]
                lines.append(f"-A {chain} -j DROP")
    answers = f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    return chains, [answers, *jumps, *lines]


def _passing(rule: Rule, direction: str, home: str, pods: Sequence[Place]) -> Iterator[list[str]]:
    """What a rule lets through, as matches of iptables; whoever is not named may be anybody."""
    peers = rule.get(SIDES[direction])
    ends = [f"{OTHER[direction]} {end}" for peer in peers or [] for end in _ends(peer, home, pods)]
    for end in ends if peers else [""]:
        for port in rule.get("ports") or [{}]:
            protocol = f"-p {port.get('protocol', 'TCP').lower()}" if port else ""
            number = f"--dport {port['port']:d}" if "port" in port else ""
            yield [match for match in (end, protocol, number) if match]


def _ends(peer: dict[str, Any], home: str, pods: Sequence[Place]) -> list[str]:
    if "ipBlock" in peer:
        return [peer["ipBlock"]["cidr"]]
    return [pod.address for pod in pods if names(peer, pod, home)]


def _seen(shop: Shop) -> tuple[list[Policy], list[Place]]:
    pods = [
        Place(
            namespace=pod["metadata"]["namespace"],
            labels=pod["metadata"].get("labels", {}),
            address=pod["status"]["podIP"],
        )
        for pod in shop.get("pods", "--all-namespaces")["items"]
        if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")
        # The address of one that has ended may be another's by now.
        if pod["status"]["phase"] in ("Pending", "Running")
    ]
    return shop.get("networkpolicies")["items"], pods
