"""NetworkPolicies: exactly the connections that README lists, and every one that is needed."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from tests.chart.conftest import LOADER, NAMESPACE, ROOT
from tests.chart.policies import Place, allows, isolates
from tests.chart.test_environments import ENVIRONMENTS

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release, Values, Workload
    from tests.chart.policies import Policy

#: What the pods of a component are called in README.
NAMES = {
    "worker": "workers",
    "beat": "beat",
    "exporter": "exporter",
    "flower": "Flower",
    "test": "helm test",
    "broker": "RabbitMQ",
    "results": "Redis",
}
#: Whom no release contains.
OTHERS = {
    "clients": Place(namespace=NAMESPACE, labels={"app": "web", "app.kubernetes.io/name": "shop"}),
    "viewers": Place(namespace="monitoring", labels={"app": "prometheus"}),
    "KEDA": Place(namespace="keda", labels={"app": "keda-operator"}),
    "stranger": Place(namespace="elsewhere", labels={"app": "web"}),
    "outside": Place(address="203.0.113.7"),
    "`appEgress`": Place(address="198.51.100.7"),
    "169.254.0.0/16": Place(address="169.254.169.254"),
}
#: Of the release's namespace, and neither of it nor of the shop.
NEIGHBOUR = Place(namespace=NAMESPACE, labels={"app": "wiki"})
#: Tests of their own look at these.
WITH_SERVERS_ELSEWHERE = ("production+operator", "production+existing")
SERVER = Place(address="10.1.0.5")
NARROW = {
    "networkPolicy": {
        "clients": [{"podSelector": {"matchLabels": {"app": "web"}}}],
        "viewers": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
        "appEgress": [{"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}],
    }
}
#: Open by no row of the table: what is open there, is open because everything is.
UNLISTED = {1, 22, 8081, 65_535}

Port = tuple[int, str]
Flow = tuple[str, str, Port]
WAIT = {"minReplicas": 1, "maxReplicas": 3, "queueWaitSeconds": 10}
REDIS = {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
SQS = {
    "broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"},
    "rabbitmq": {"enabled": False},
    "networkPolicy": NARROW["networkPolicy"]
    | {"existingServers": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]},
}
FLOWER: "Values" = {"flower": {"enabled": True}}
TLS: "Values" = {"rabbitmq": {"tls": {"enabled": True}}}
#: Every mode, on the brokers that the chart takes it for.
MODES = [
    *product(("none", "keda", "keda-triggers", "hpa", "cpu"), ({}, REDIS, SQS)),
    ("queue-length", {}),
    ("keda", FLOWER),
    ("keda", FLOWER | TLS),
]


def test_what_passes_is_exactly_what_readme_lists(helm: "Helm", minimal: "Values") -> None:
    minimal |= NARROW | {"workerDefaults": {"autoscaling": WAIT}}
    releases = [helm.template(minimal | b | {"autoscaling": {"mode": mode}}) for mode, b in MODES]
    ports = _universe(*releases)
    assert set.union(*(_flows(release, ports) for release in releases)) == set(_listed(ports))


@pytest.mark.parametrize("values", [*ENVIRONMENTS, "plain"])
def test_no_pod_of_the_release_is_left_open(helm: "Helm", minimal: "Values", values: str) -> None:
    release = helm.template(minimal | {"runtime": False} if values == "plain" else values)
    for workload in release.workloads.values():
        for direction in ("Ingress", "Egress"):
            assert isolates(_policies(release), _place(workload), direction), workload.name


@pytest.mark.parametrize("environment", sorted({*ENVIRONMENTS} - {*WITH_SERVERS_ELSEWHERE}))
def test_every_connection_that_the_objects_speak_of_passes(helm: "Helm", environment: str) -> None:
    _assert_needed_passes(helm.template(environment))


@pytest.mark.parametrize(("mode", "broker"), MODES)
def test_every_connection_of_a_mode_passes(
    helm: "Helm", minimal: "Values", mode: str, broker: "Values"
) -> None:
    scaled = {"autoscaling": {"mode": mode}, "workerDefaults": {"autoscaling": WAIT}}
    _assert_needed_passes(helm.template(minimal | scaled | broker))


@pytest.mark.parametrize(("mode", "broker"), MODES)
def test_who_is_no_part_of_the_release_opens_no_other_connection_than_those(
    helm: "Helm", minimal: "Values", mode: str, broker: "Values"
) -> None:
    scaled = {"autoscaling": {"mode": mode}, "workerDefaults": {"autoscaling": WAIT}}
    release = helm.template(minimal | NARROW | scaled | broker)
    passing = _flows(release, _universe(release))
    assert {flow for flow in passing if flow[0] in OTHERS} == {
        flow for flow in _needed(release) if flow[0] in OTHERS
    }


def test_in_production_tasks_reach_what_the_shop_gives_them_and_nobody_else(helm: "Helm") -> None:
    release, shop = helm.template("production"), _shop()
    others = OTHERS | {"neighbour": NEIGHBOUR}
    places, policies = _places(release), _policies(release)
    given = _given_to_tasks(shop)
    assert len(given) == 3
    ports = {number for number, _ in _universe(release)} | {port for _, port in given}
    resolver = {(name, 53) for name in (*shop, *others)}
    for name in ("workers", "beat", "exporter", "helm test"):
        reached = {
            (other, port)
            for other, place in (shop | others).items()
            for port in ports
            if allows(policies, places[name], place, port)
        }
        if name in ("workers", "beat"):
            assert given <= reached
            # The rest of the shop, by its label, but nothing else of it than these ports.
            wanted = {(part, port) for part in (*shop, "clients") for _, port in given}
        else:
            api_server = (443, 6443) if name == "exporter" else ()
            wanted = {(other, port) for other in (*shop, *others) for port in api_server}
        assert reached - resolver == wanted, name


def test_in_production_the_release_is_reached_by_whom_it_names_and_nobody_else(
    helm: "Helm",
) -> None:
    release, shop = helm.template("production"), _shop()
    servers = {("RabbitMQ", 5671), ("Redis", 6379)}
    named = dict.fromkeys((*shop, "clients"), servers) | {
        "viewers": {("exporter", 9808), ("beat", 8080), ("RabbitMQ", 15692)},
        "KEDA": {("exporter", 9809)},
    }
    for name, place in (shop | OTHERS | {"neighbour": NEIGHBOUR}).items():
        assert {
            (target, port)
            for target, ours in _places(release).items()
            for port, _ in _universe(release)
            if allows(_policies(release), place, ours, port)
        } == named.get(name, set()), name


def test_a_stranger_reaches_metrics_alone_and_nothing_where_viewers_are_named(
    helm: "Helm", minimal: "Values"
) -> None:
    metrics = {("exporter", 9808), ("beat", 8080), ("RabbitMQ", 15692)}
    for values, reached in ((minimal, metrics), (minimal | NARROW, set())):
        release = helm.template(values)
        assert {
            (name, port)
            for name, place in _places(release).items()
            for port, _ in _universe(release)
            if allows(_policies(release), OTHERS["stranger"], place, port)
        } == reached


def test_every_pod_of_the_namespace_may_send_tasks_until_clients_are_named(
    helm: "Helm", minimal: "Values"
) -> None:
    job = Place(namespace=NAMESPACE, labels={"app": "report"})
    for values, passes in ((minimal, True), (minimal | NARROW, False)):
        release = helm.template(values)
        places, policies = _places(release), _policies(release)
        assert allows(policies, job, places["RabbitMQ"], 5672) is passes
        assert allows(policies, job, places["Redis"], 6379) is passes


def test_no_client_is_none_and_not_everybody(helm: "Helm", minimal: "Values") -> None:
    minimal["networkPolicy"] = {"clients": [], "viewers": [], "appEgress": []}
    release = helm.template(minimal)
    places, policies = _places(release), _policies(release)
    for policy in policies:
        kubernetes_validate.validate(policy, "1.35", strict=True)
    for name, other in OTHERS.items():
        for place in places.values():
            assert not any(allows(policies, other, place, *port) for port in _universe(release))
        assert not allows(policies, places["workers"], other, 5432), name
    assert allows(policies, places["workers"], places["RabbitMQ"], 5672)
    assert allows(policies, places["workers"], places["Redis"], 6379)


def test_what_loads_the_app_may_connect_to_everything_by_default(
    helm: "Helm", minimal: "Values"
) -> None:
    for values, loading in (
        (minimal, {"workers", "beat"}),
        (minimal | {"runtime": False}, {"workers", "beat", "helm test"}),
    ):
        release = helm.template(values)
        policies = _policies(release)
        assert loading == {
            name
            for name, place in _places(release).items()
            if allows(policies, place, OTHERS["outside"], 5432)
        }


@pytest.mark.parametrize(
    ("broker", "ports"),
    [
        ({"host": "mq"}, [5672]),
        ({"host": "mq", "tls": True}, [5671]),
        ({"host": "mq", "port": 5673}, [5673]),
        ({}, None),
        ({"kind": "redis", "host": "cache"}, [6379]),
        ({"kind": "redis", "sentinel": {"master": "m", "hosts": ["s:26379"]}}, [6379, 26379]),
        ({"kind": "sqs", "region": "r"}, [443]),
        ({"kind": "sqs", "region": "r", "endpoint": "https://sqs.example:8443"}, [443, 8443]),
        ({"kind": "sqs", "region": "r", "endpoint": "http://sqs.example"}, [80, 443]),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_an_existing_broker_is_reached_by_its_ports(
    helm: "Helm", minimal: "Values", broker: "Values", ports: list[int] | None
) -> None:
    minimal |= {"rabbitmq": {"enabled": False}}
    minimal["broker"] = {"mode": "existing", "existingSecret": "login"} | broker
    for servers, elsewhere in (([], True), ([{"ipBlock": {"cidr": "10.1.0.0/24"}}], False)):
        minimal["networkPolicy"] = NARROW["networkPolicy"] | {"existingServers": servers}
        release = helm.template(minimal)
        places, policies = _places(release), _policies(release)
        for name in ("workers", "beat", "exporter", "helm test"):
            probed = {80, 443, 1234, 5671, 5672, 5673, 6379, 8443, 26379}
            known = {53, 443, 6443} if name == "exporter" else {53}
            wanted = probed if ports is None else set(ports) | (known & probed)
            assert wanted == {p for p in probed if allows(policies, places[name], SERVER, p)}
            first = 1234 if ports is None else ports[0]
            assert allows(policies, places[name], OTHERS["outside"], first) is (
                elsewhere or first in known
            )


def test_existing_results_are_reached_by_their_port(helm: "Helm", minimal: "Values") -> None:
    minimal |= NARROW | {"redis": {"enabled": False}}
    minimal["resultBackend"] = {
        "mode": "existing",
        "host": "cache",
        "port": 6380,
        "existingSecret": "c",
    }
    release = helm.template(minimal)
    places, policies = _places(release), _policies(release)
    assert allows(policies, places["beat"], SERVER, 6380)
    assert not allows(policies, places["beat"], SERVER, 6379)
    assert not allows(policies, places["exporter"], SERVER, 6380)


def test_the_identity_of_a_pod_is_asked_for_only_where_no_secret_holds_a_key(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal |= NARROW | SQS
    minimal["broker"] = minimal["broker"] | {"existingSecret": "key"}
    release = helm.template(minimal)
    link = OTHERS["169.254.0.0/16"]
    assert not allows(_policies(release), _places(release)["workers"], link, 80)


@pytest.mark.parametrize(
    ("tls", "ports"), [(False, (5672, 15672, 15692)), (True, (5671, 15671, 15691))]
)
def test_the_operators_nodes_are_reached_and_guarded_like_the_charts_own(
    helm: "Helm", minimal: "Values", tls: bool, ports: tuple[int, int, int]
) -> None:
    minimal |= NARROW | {"broker": {"mode": "operator"}}
    minimal["rabbitmq"] = {"operator": True, "tls": {"enabled": tls}}
    release = helm.template(minimal)
    places, policies = _places(release), _policies(release)
    labels = {
        "app.kubernetes.io/name": "jobs-rabbitmq",
        "app.kubernetes.io/component": "rabbitmq",
        "app.kubernetes.io/part-of": "rabbitmq",
    }
    node = Place(namespace=NAMESPACE, labels=labels)
    assert allows(policies, places["workers"], node, ports[0])
    assert allows(policies, places["exporter"], node, ports[1])
    assert allows(policies, OTHERS["viewers"], node, ports[2])
    assert allows(policies, node, node, 25672)
    assert not allows(policies, OTHERS["stranger"], node, ports[0])


def test_switched_off_there_is_no_policy(helm: "Helm", minimal: "Values") -> None:
    minimal["networkPolicy"] = {"enabled": False}
    assert not helm.template(minimal).all("NetworkPolicy")


def test_the_notes_say_who_has_to_be_named_where_a_server_refuses_anybody(
    helm: "Helm", minimal: "Values"
) -> None:
    own = {"mode": "existing", "existingSecret": "login"}
    outside = {section: {"enabled": False} for section in ("rabbitmq", "redis")}
    for values, said in (
        ({}, True),
        ({"networkPolicy": {"enabled": False}}, False),
        ({"broker": own, "resultBackend": own} | outside, False),
    ):
        assert ("networkPolicy.clients" in helm.notes(minimal | values)) is said


def test_a_release_beside_it_is_a_client_like_any_other(helm: "Helm", minimal: "Values") -> None:
    """Two releases of one namespace: neither one's pods count as the other's."""
    ours, theirs = (helm.template(minimal | NARROW, release=name) for name in ("jobs", "mail"))
    both = _policies(ours) + _policies(theirs)
    assert not allows(both, _places(ours)["workers"], _places(theirs)["RabbitMQ"], 5672)
    assert not allows(both, _places(ours)["exporter"], _places(theirs)["workers"], 8080)


# What the objects speak of ------------------------------------------------------------------------


def _assert_needed_passes(release: "Release") -> None:
    needed = set(_needed(release))
    assert len(needed) >= 8
    assert needed <= _flows(release, _universe(release))


def _needed(release: "Release") -> Iterator[Flow]:
    """The connections that are opened, by what pods and their scalers are told."""
    users = ["workers", "beat", "clients", *({"Flower"} & set(_places(release)))]
    for section, sources in (
        ("broker", (*users, "exporter", "helm test")),
        ("resultBackend", users),
    ):
        if "host" in (server := release.settings[section]):
            yield from (
                (each, *_behind(release, server["host"], server["port"])) for each in sources
            )
    environment = release.workloads["jobs-exporter"].env
    if url := environment.get("CELERY_EXPORTER_MANAGEMENT_URL"):
        yield ("exporter", *_behind(release, urlsplit(url).hostname, urlsplit(url).port))
    groups = json.loads(release.one("ConfigMap", "jobs-exporter")["data"]["groups.json"])
    yield "exporter", "workers", (groups["port"], "TCP")
    yield from (("exporter", "outside", (port, "TCP")) for port in (443, 6443))
    yield from _scraped(release)
    yield from _asked_by_scalers(release)
    if "RabbitMQ" in _places(release):
        for port in release.one("Service", "jobs-rabbitmq-nodes")["spec"]["ports"]:
            yield "RabbitMQ", "RabbitMQ", (port["port"], "TCP")


def _scraped(release: "Release") -> Iterator[Flow]:
    for service in release.all("Service"):
        name = service["metadata"]["name"]
        port = service["metadata"].get("annotations", {}).get("prometheus.io/port")
        named = [p["port"] for p in service["spec"]["ports"] if p["name"] == "prometheus"]
        for number in [*([int(port)] if port else []), *named]:
            yield ("viewers", *_behind(release, name, number))
    beat = release.workloads["jobs-beat"].container["ports"][0]["containerPort"]
    yield "viewers", "beat", (beat, "TCP")
    if "Flower" in _places(release):
        yield ("viewers", *_behind(release, "jobs-flower", 5555))


def _asked_by_scalers(release: "Release") -> Iterator[Flow]:
    for api in release.all("APIService"):
        service = api["spec"]["service"]
        for other in OTHERS:  # the API server has no address that could be told apart
            yield (other, *_behind(release, service["name"], service["port"]))
    for scaled in release.all("ScaledObject"):
        for metadata in (trigger["metadata"] for trigger in scaled["spec"]["triggers"]):
            told = metadata.get("scalerAddress") or metadata.get("host") or metadata.get("address")
            if told:
                url = urlsplit(told if "://" in told else f"tcp://{told}")
                yield ("KEDA", *_behind(release, url.hostname, url.port))


def _behind(release: "Release", host: str | None, port: int | None) -> tuple[str, Port]:
    """The pods to which a Service leads, and their own port."""
    spec = release.one("Service", str(host).partition(".")[0])["spec"]
    (name,) = [each["targetPort"] for each in spec["ports"] if each["port"] == port]
    (workload,) = [
        w
        for w in release.workloads.values()
        if spec["selector"].items() <= w.metadata["labels"].items()
    ]
    return NAMES[workload.component], (_place(workload).ports[name], "TCP")


# The shop that values/production.yaml speaks of ---------------------------------------------------


def _shop() -> dict[str, Place]:
    """A pod of each part of the demonstration, by the name of its workload."""
    return {
        o["metadata"]["name"]: _part(o["spec"]["template"])
        for o in _deployed()
        if o["kind"] in ("Deployment", "StatefulSet")
    }


def _part(template: "Object") -> Place:
    ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
    return Place(namespace=NAMESPACE, labels=template["metadata"]["labels"], ports=ports)


def _given_to_tasks(shop: dict[str, Place]) -> set[tuple[str, int]]:
    """The parts, and their pods' ports, that the environment of workers leads to."""
    objects = _deployed()
    (database,) = [o["stringData"] for o in objects if o["metadata"]["name"] == "shop-database"]
    (endpoints,) = [o["data"] for o in objects if o["metadata"]["name"] == "shop-endpoints"]
    urls = [urlsplit(url) for url in (database["DATABASE_URL"], endpoints["GATEWAY_URL"])]
    hosts = [(url.hostname, url.port) for url in urls]
    hosts.append((endpoints["SMTP_HOST"], int(endpoints["SMTP_PORT"])))
    services = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
    return {_led_to(services[str(host)], port, shop) for host, port in hosts}


def _led_to(service: "Object", port: int | None, shop: dict[str, Place]) -> tuple[str, int]:
    (name,) = [each["targetPort"] for each in service["ports"] if each["port"] == port]
    selector = service["selector"].items()
    (part,) = [part for part, place in shop.items() if selector <= place.labels.items()]
    return part, shop[part].ports[name]


@cache
def _deployed() -> "list[Object]":
    folder = ROOT / "images" / "demo" / "deploy"
    texts = [(folder / name).read_text() for name in ("postgres.yaml", "shop.yaml")]
    return [o for text in texts for o in yaml.load_all(text, Loader=LOADER)]


# What passes --------------------------------------------------------------------------------------


def _flows(release: "Release", ports: Iterable[Port]) -> set[Flow]:
    ours, policies = _places(release), _policies(release)
    ends = ours | OTHERS
    return {
        (source, target, port)
        for source in ends
        for target in ends
        for port in ports
        if (source in ours or target in ours)
        and allows(policies, ends[source], ends[target], *port)
    }


def _policies(release: "Release") -> list["Policy"]:
    """The policies as they are once they are in the release's namespace."""
    return [
        policy | {"metadata": policy["metadata"] | {"namespace": NAMESPACE}}
        for policy in release.all("NetworkPolicy")
    ]


def _places(release: "Release") -> dict[str, Place]:
    """A pod of each component, by its name in README."""
    return {NAMES[w.component]: _place(w) for w in release.workloads.values()}


def _place(workload: "Workload") -> Place:
    ports = {p["name"]: p["containerPort"] for p in workload.container.get("ports", [])}
    return Place(namespace=NAMESPACE, labels=workload.metadata["labels"], ports=ports)


def _universe(*releases: "Release") -> list[Port]:
    """Every port that somebody listens on, or that a policy or README names, and some more."""
    numbers = {number for row in _rows() for number, _ in _numbers(row[2])} | UNLISTED
    for release in releases:
        named = re.findall(r'"port": (\d+)', json.dumps(release.all("NetworkPolicy")))
        listening = (_place(workload).ports.values() for workload in release.workloads.values())
        numbers |= {*map(int, named)}.union(*listening)
    return [(number, protocol) for number in sorted(numbers) for protocol in ("TCP", "UDP")]


# README's table ----------------------------------------------------------------------------------


def _listed(everything: Iterable[Port]) -> Iterator[Flow]:
    for sources, targets, ports in _rows():
        for source in _ends(sources):
            for target in _ends(targets):
                for port in everything if ports == "any" else _numbers(ports):
                    yield source, target, port


@cache
def _rows() -> list[list[str]]:
    """The cells From, To and Port; servers that are the user's have tests of their own."""
    text = (ROOT / "charts/celery/README.md").read_text()
    section = text.partition("\n## Network\n")[2].partition("\n## ")[0]
    rows = [row.split(" | ")[:3] for row in section.splitlines() if row.startswith("| ")]
    cells = [[cell.strip("| ") for cell in row] for row in rows[2:]]
    return [row for row in cells if row[1] != "`existingServers`"]


def _ends(cell: str) -> list[str]:
    return list(OTHERS) if cell == "anywhere" else cell.split(", ")


def _numbers(cell: str) -> list[Port]:
    found = re.findall(r"(\d+)(?:/(\w+))?", cell)
    return [(int(number), protocol or "TCP") for number, protocol in found]
