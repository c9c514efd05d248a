"""What prometheus-operator is given: whom to scrape, and by which labels it finds that."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart import operatorschema

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release, Values

NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
OWN_RABBITMQ = NO_RABBITMQ | {"broker": {"mode": "existing", "existingSecret": "mq"}}
REDIS = NO_RABBITMQ | {"broker": {"kind": "redis"}}
SQS = NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}}
MONITORS = {"monitoring": {"monitors": {"enabled": True}}}
ALL = {
    "monitoring": {
        "labels": {"release": "kube-prometheus-stack"},
        "monitors": {"enabled": True, "interval": "30s"},
        "alerts": {"enabled": True},
        "dashboards": {"enabled": True},
    }
}
ON_BROKER = {
    "rabbitmq": ({}, {"exporter": "metrics", "beat": "health", "broker": "prometheus"}),
    "own rabbitmq": (OWN_RABBITMQ, {"exporter": "metrics", "beat": "health"}),
    "redis": (REDIS, {"exporter": "metrics", "beat": "health"}),
    "sqs": (SQS, {"exporter": "metrics", "beat": "health"}),
    "plain": ({"runtime": False}, {"exporter": "metrics", "broker": "prometheus"}),
    "no beat": (REDIS | {"beat": {"enabled": False}}, {"exporter": "metrics"}),
    "no exporter": ({"exporter": {"enabled": False}}, {"beat": "health", "broker": "prometheus"}),
}


@pytest.mark.parametrize(("values", "expected"), ON_BROKER.values(), ids=ON_BROKER)
def test_whoever_has_metrics_is_scraped_and_nobody_else(
    helm: "Helm", minimal: "Values", values: "Values", expected: dict[str, str]
) -> None:
    release = helm.template(minimal | values | MONITORS)
    assert _scraped(release) == expected


def test_nobody_scrapes_the_exporter_twice(helm: "Helm", minimal: "Values") -> None:
    service = helm.template(minimal).one("Service", "jobs-exporter")
    assert service["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    service = helm.template(minimal | MONITORS).one("Service", "jobs-exporter")
    assert "annotations" not in service["metadata"]


def test_prometheus_finds_everything_by_labels_of_yours(helm: "Helm", minimal: "Values") -> None:
    objects = _of_the_operator(helm.template(minimal | ALL))
    assert {found["kind"] for found in objects} == {
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
    }
    for found in objects:
        operatorschema.validate(found)
        assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == "jobs"
        assert found["spec"].get("endpoints", [{"interval": "30s"}])[0]["interval"] == "30s"


def test_a_label_of_yours_goes_before_the_charts_own(helm: "Helm", minimal: "Values") -> None:
    minimal["monitoring"] = MONITORS["monitoring"] | {"labels": {"app.kubernetes.io/name": "mine"}}
    monitor = helm.template(minimal).one("ServiceMonitor", "jobs-exporter")
    assert monitor["metadata"]["labels"]["app.kubernetes.io/name"] == "mine"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(
            (
                {"exporter": {"enabled": False}, "monitoring": {part: {"enabled": True}}},
                f"monitoring.{part}.enabled: all of them ask the exporter, and exporter.enabled is "
                "false. Set it to true, or this to false.",
            )
            for part in ("alerts", "dashboards")
        ),
        (
            {"monitoring": {"monitors": {"interval": "often"}}},
            "at '/monitoring/monitors/interval': 'often' does not match pattern",
        ),
        (
            {"monitoring": {"alerts": {"failurePercent": 100}}},
            "at '/monitoring/alerts/failurePercent': exclusiveMaximum",
        ),
        (
            {"monitoring": {"alerts": {"queueLength": "10k"}}},
            "at '/monitoring/alerts/queueLength': got string, want integer",
        ),
        (
            {"monitoring": {"alerts": {"minFailures": 0}}},
            "at '/monitoring/alerts/minFailures': minimum: got 0, want 1",
        ),
        (
            {"monitoring": {"alerts": {"restarts": -1}}},
            "at '/monitoring/alerts/restarts': minimum: got -1, want 0",
        ),
        (
            {"monitoring": {"alerts": {"deadLetters": -1}}},
            "at '/monitoring/alerts/deadLetters': minimum: got -1, want 0",
        ),
        (
            {"monitoring": {"alerts": {"beatSilentSeconds": 30}}},
            "at '/monitoring/alerts/beatSilentSeconds': minimum: got 30, want 60",
        ),
        (
            {"monitoring": {"alerts": {"runbookUrl": ""}}},
            "at '/monitoring/alerts/runbookUrl': minLength",
        ),
        (
            {"monitoring": {"rules": {}}},
            "at '/monitoring': additional properties 'rules' not allowed",
        ),
        (
            {"monitoring": {"labels": {"a": 1}}},
            "at '/monitoring/labels/a': got number, want string",
        ),
        (
            SQS | {"flower": {"enabled": True}},
            "flower.enabled: SQS has no events and no remote control: Flower would show nothing.",
        ),
        (
            {"flower": {"enabled": True}, "env": {"FLOWER_UNAUTHENTICATED_API": "true"}},
            "env.FLOWER_UNAUTHENTICATED_API: set by the chart. Remove it and use flower.existing",
        ),
        (
            {"flower": {"enabled": True}, "env": {"FLOWER_BASIC_AUTH": "a:b"}},
            "env.FLOWER_BASIC_AUTH: set by the chart. Remove it and use flower.existingSecret.",
        ),
        (
            {"flower": {"enabled": True}, "fullnameOverride": "1shop"},
            'fullnameOverride: "1shop-flower" cannot name a Service. Use a name that starts with',
        ),
        (
            {"flower": {"authentication": False}},
            "at '/flower': additional properties 'authentication' not allowed",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    helm: "Helm", minimal: "Values", values: "Values", message: str
) -> None:
    assert message in helm.refusal(minimal | values)


def _of_the_operator(release: "Release") -> "list[Object]":
    return [o for o in release.objects if o["apiVersion"].startswith("monitoring.coreos.com/")]


def _scraped(release: "Release") -> dict[str, str]:
    """The component of each pod that is scraped, and the name of the port."""
    found: dict[str, str] = {}
    for monitor in release.all("ServiceMonitor"):
        asked = [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]]
        for service in release.all("Service"):
            if _selects(monitor["spec"]["selector"], service["metadata"]["labels"]):
                spec = service["spec"]
                ports = [port["targetPort"] for port in spec["ports"] if port["name"] in asked]
                found |= _of_pods(release, {"matchLabels": spec["selector"]}, ports)
    for monitor in release.all("PodMonitor"):
        ports = [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]]
        found |= _of_pods(release, monitor["spec"]["selector"], ports)
    return found


def _of_pods(release: "Release", selector: dict[str, Any], ports: list[str]) -> dict[str, str]:
    return {
        workload.component: port["name"]
        for workload in release.workloads.values()
        if _selects(selector, workload.metadata["labels"])
        for port in workload.container.get("ports", [])
        if port["name"] in ports
    }


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )
