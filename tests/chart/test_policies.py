"""The evaluator of NetworkPolicies, by which the chart's own are judged."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chart.policies import Place, allows, isolates
from tests.cluster.release.enforcement import rules

WEB = Place(namespace="shop", labels={"app": "web"})
DATABASE = Place(namespace="shop", labels={"app": "db"}, ports={"sql": 5432})
STRANGER = Place(namespace="other", labels={"app": "web"})
OUTSIDE = Place(address="203.0.113.7")
SQL = [{"port": 5432}]


def _policy(app: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    types = [name for name in ("Ingress", "Egress") if name.lower() in spec]
    return {
        "metadata": {"namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": types, **spec},
    }


def test_without_a_policy_everything_passes() -> None:
    assert allows([], STRANGER, DATABASE, 5432)


def test_a_policy_of_another_namespace_says_nothing() -> None:
    assert allows([_policy("db", "other", ingress=[])], STRANGER, DATABASE, 5432)


def test_a_policy_without_rules_refuses_its_own_direction_only() -> None:
    closed = [_policy("db", ingress=[])]
    assert not allows(closed, WEB, DATABASE, 5432)
    assert allows(closed, DATABASE, WEB, 80)


def test_a_policy_of_no_stated_direction_is_about_ingress_and_what_it_has_rules_for() -> None:
    spec: dict[str, Any] = {"podSelector": {}}
    silent = [{"metadata": {"namespace": "shop"}, "spec": spec}]
    assert isolates(silent, WEB, "Ingress")
    assert not isolates(silent, WEB, "Egress")
    spec["egress"] = []
    assert isolates(silent, WEB, "Egress")


def test_both_sides_have_to_agree() -> None:
    way_in = _policy("db", ingress=[{"from": [{"podSelector": {}}], "ports": SQL}])
    way_out = _policy("web", egress=[{"to": [{"podSelector": {}}], "ports": SQL}])
    assert allows([way_in, way_out], WEB, DATABASE, 5432)
    assert not allows([way_in, _policy("web", egress=[])], WEB, DATABASE, 5432)
    assert not allows([_policy("db", ingress=[]), way_out], WEB, DATABASE, 5432)


@pytest.mark.parametrize(
    ("peers", "passing"),
    [
        (None, [WEB, STRANGER, OUTSIDE]),
        ([], [WEB, STRANGER, OUTSIDE]),
        ([{"podSelector": {}}], [WEB]),
        ([{"namespaceSelector": {}}], [WEB, STRANGER]),
        ([{"podSelector": {"matchLabels": {"app": "web"}}}], [WEB]),
        ([{"podSelector": {"matchLabels": {"app": "api"}}}], []),
        ([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "api"}}}], []),
        (
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}],
            [STRANGER],
        ),
        ([{"ipBlock": {"cidr": "203.0.113.0/24"}}], [OUTSIDE]),
        ([{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}}], []),
        ([{"podSelector": {}}, {"ipBlock": {"cidr": "203.0.113.7/32"}}], [WEB, OUTSIDE]),
    ],
)
def test_a_rules_peers_are_who_passes(
    peers: list[dict[str, Any]] | None, passing: list[Place]
) -> None:
    rule = {"ports": SQL} if peers is None else {"ports": SQL, "from": peers}
    policies = [_policy("db", ingress=[rule])]
    places = [WEB, STRANGER, OUTSIDE]
    assert [place for place in places if allows(policies, place, DATABASE, 5432)] == passing


@pytest.mark.parametrize(
    ("ports", "port", "protocol", "passes"),
    [
        (None, 1, "UDP", True),
        ([], 1, "TCP", True),
        (SQL, 5432, "TCP", True),
        (SQL, 5433, "TCP", False),
        (SQL, 5432, "UDP", False),
        ([{"port": 5432, "endPort": 5440}], 5440, "TCP", True),
        ([{"port": 5432, "endPort": 5440}], 5441, "TCP", False),
        ([{"port": "sql"}], 5432, "TCP", True),
        ([{"port": "http"}], 5432, "TCP", False),
        ([{"protocol": "UDP"}], 53, "UDP", True),
        ([{"protocol": "UDP"}], 53, "TCP", False),
    ],
)
def test_a_rules_ports_are_what_passes(
    ports: list[dict[str, Any]] | None, port: int, protocol: str, passes: bool
) -> None:
    rule = {} if ports is None else {"ports": ports}
    assert allows([_policy("db", ingress=[rule])], WEB, DATABASE, port, protocol) is passes


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        ("In", ["web", "api"], [True, False]),
        ("NotIn", ["web"], [False, True]),
        ("Exists", [], [True, False]),
        ("DoesNotExist", [], [False, True]),
    ],
)
def test_expressions_select_as_labels_do(
    operator: str, values: list[str], selected: list[bool]
) -> None:
    expression = {"key": "app", "operator": operator, "values": values}
    spec = {"podSelector": {"matchExpressions": [expression]}, "policyTypes": ["Ingress"]}
    policies = [{"metadata": {"namespace": "shop"}, "spec": spec}]
    nameless = Place(namespace="shop")
    assert [isolates(policies, place, "Ingress") for place in (WEB, nameless)] == selected


PEERS = st.sampled_from(
    [
        {"podSelector": {}},
        {"namespaceSelector": {}},
        {"podSelector": {"matchLabels": {"app": "web"}}},
        {"ipBlock": {"cidr": "203.0.113.0/24"}},
    ]
)
RULES = st.fixed_dictionaries(
    {}, optional={"from": st.lists(PEERS), "ports": st.lists(st.sampled_from(SQL))}
)
POLICIES = st.lists(st.builds(lambda rules: _policy("db", ingress=rules), st.lists(RULES)))


@given(POLICIES, POLICIES, st.sampled_from([WEB, STRANGER, OUTSIDE]), st.integers(1, 65_535))
def test_policies_add_up(
    some: list[dict[str, Any]], others: list[dict[str, Any]], place: Place, port: int
) -> None:
    """What either of two sets lets through, both together do; and nothing that neither does."""
    each = [allows(policies, place, DATABASE, port) for policies in (some, others) if policies]
    together = allows([*some, *others], place, DATABASE, port)
    assert together is (any(each) if each else True)


def test_as_rules_of_a_node_each_isolated_side_is_a_chain_that_ends_in_a_refusal() -> None:
    web, database, stranger = (
        dataclasses.replace(place, address=f"10.244.0.{number}")
        for number, place in enumerate((WEB, DATABASE, STRANGER))
    )
    rule = {"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": SQL}
    policies = [_policy("db", ingress=[rule]), _policy("web", egress=[{}])]
    chains, lines = rules(policies, [web, database, stranger])
    assert chains == ["POLICIES", "POLICY-0-Egress", "POLICY-1-Ingress"]
    assert lines == [
        "-A POLICIES -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
        "-A POLICIES --source 10.244.0.0 -j POLICY-0-Egress",
        "-A POLICIES --destination 10.244.0.1 -j POLICY-1-Ingress",
        "-A POLICY-0-Egress -j RETURN",
        "-A POLICY-0-Egress -j DROP",
        "-A POLICY-1-Ingress --source 10.244.0.0 -p tcp --dport 5432 -j RETURN",
        "-A POLICY-1-Ingress --source 10.244.0.1 -p tcp --dport 5432 -j RETURN",
        "-A POLICY-1-Ingress --source 10.1.0.0/24 -p tcp --dport 5432 -j RETURN",
        "-A POLICY-1-Ingress -j DROP",
    ]
