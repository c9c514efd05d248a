"""What alerts and dashboards ask for is what is served."""

import json
from typing import TYPE_CHECKING

import pytest
from celery import Celery

from celery_exporter import metrics
from celery_exporter.metrics import Health, Snapshot
from celery_exporter.readings import Depth, Reading
from celery_exporter.state.counting import State
from celery_runtime.beat.probes import BeatProbes
from tests.chart.queries import OTHERS, Served, dashboards, of_dashboard, unknown
from tests.exporter.conftest import (
    RunningExporter,
    Samples,
    StartExporter,
    _logging_as_it_was,
    _memory_broker_without_memory,
    _plain_environment,
    celery,
    document,
    exporter,
    mounted,
    producer,
    reachable,
    redis_url,
    samples_of,
    worker,
)
from tests.exporter.fleet.conftest import kube_api
from tests.exporter.fleet.kubeapi import GROUP_LABEL, LABELS, NAMESPACE, KubeApi, raw_pod
from tests.exporter.rabbitmq.test_rabbitmq import TOLD_BY_RABBITMQ_ALONE
from tests.runtime.conftest import Mounted, Start, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chart.conftest import Helm, Object, Values

__all__ = [
    "_logging_as_it_was",
    "_memory_broker_without_memory",
    "_plain_environment",
    "celery",
    "document",
    "exporter",
    "kube_api",
    "mounted",
    "producer",
    "reachable",
    "redis_url",
    "worker",
]

RATES = {"celery_queue_arrivals_per_second", "celery_queue_completions_per_second"}
WAIT = {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10}


@pytest.fixture
def running(
    exporter: StartExporter,
    reachable: Mounted,
    kube_api: KubeApi,
    worker: Start,
    producer: Celery,
    tmp_path: "Path",
) -> RunningExporter:
    """An exporter that has seen a worker with a task that failed."""
    at_work = worker("prefork", app="countedapp:app")
    at_work.wait_for("ready", 200)
    kube_api.pods.append(raw_pod("jobs-worker-io-1", podIP="127.0.0.1"))
    io = {"queues": ["email"], "slots": 2, "maxTaskSeconds": 60, "autoscaling": WAIT}
    groups = {
        "namespace": NAMESPACE,
        "labels": LABELS,
        "groupLabel": GROUP_LABEL,
        "port": at_work.port,
        "groups": {"io": io},
    }
    (reachable.path / "groups.json").write_text(json.dumps(groups))
    found = exporter(
        KUBECONFIG=str(kube_api.kubeconfig(tmp_path)),
        CELERY_EXPORTER_SCALER_PORT=str(free_port()),
    )
    found.wait_for(1, "celery_group_idle_replicas", group="io")
    producer.send_task("counted.fail", queue="email")
    producer.send_task("counted.work", queue="email")
    found.wait_for(1, "celery_task_total", status="failure")
    found.wait_for(1, "celery_task_total", status="success")
    # A rate has two ends, some seconds apart.
    wait_until(lambda: _names(found) >= RATES, "rates")
    return found


@pytest.fixture
def served(running: RunningExporter) -> Served:
    """What the exporter and beat serve, and what others do."""
    of_rabbitmq = _as_told_by_rabbitmq()
    # A test on a RabbitMQ sees these served by it.
    assert {name for name, _ in of_rabbitmq} - _names(running) == TOLD_BY_RABBITMQ_ALONE
    own = [running.samples(), of_rabbitmq, samples_of(BeatProbes().metrics())]
    known: dict[str, set[str]] = {name: set(labels) for name, labels in OTHERS.items()}
    for samples in own:
        for name, labels in samples:
            known.setdefault(name, set()).update(label for label, _ in labels)
    return known


def _names(found: RunningExporter) -> set[str]:
    return {name for name, _ in found.samples()}


def _as_told_by_rabbitmq() -> Samples:
    depth = Depth(ready=1, unacked=1, consumers=1, held_dead=0, members=3, online_members=3)
    snapshot = Snapshot(
        state=State(default_queue="default"),
        reading=Reading(
            depths={"email": depth, "email.dead": depth}, held_delayed={"celery_delayed_4": 0}
        ),
        health=Health(up={"broker": True}),
        dead_letters={"email": "email.dead"},
        oldest_seconds={"email": 1.0},
        now=0,
    )
    return samples_of(metrics.page(snapshot))


def test_no_alert_and_no_dashboard_asks_for_what_nobody_serves(
    helm: "Helm", minimal: "Values", served: Served
) -> None:
    minimal |= {"autoscaling": {"mode": "keda"}, "monitoring": {"alerts": {"enabled": True}}}
    minimal["workers"]["io"]["autoscaling"] = WAIT
    (group,) = helm.template(minimal).one("PrometheusRule", "jobs")["spec"]["groups"]
    kept = {rule["record"]: {"name", "release"} for rule in group["rules"] if "record" in rule}
    asked = [(rule["expr"], set[str]()) for rule in group["rules"]]
    for dashboard in dashboards().values():
        asked += of_dashboard(dashboard)
    assert len(asked) > 80
    known = {**served, **kept}
    assert [problem for query, read in asked for problem in unknown(query, read, known)] == []


@pytest.mark.parametrize(
    ("query", "read", "problem"),
    [
        ("sum(a_total) + sum(rate(b_total[5m]))", set(), "no metric a_total"),
        ('b_total{of="x", to="y"}', set(), "no label to of b_total"),
        ("max by (to) (b_total)", set(), "no label to"),
        ("b_total", {"to"}, "no label to"),
    ],
)
def test_a_query_for_what_nobody_serves_is_found(query: str, read: set[str], problem: str) -> None:
    assert unknown(query, read, {"b_total": {"of"}}) == [f"{problem}: {query}"]


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = dashboards()[name]
    assert dashboard["uid"] == f"celery-{name}"
    assert dashboard["tags"] == ["celery"]
    panels = dashboard["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"] == source
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    assert not _overlaps(panels)
    # Of one release each: two may run in a cluster.
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "release"]
    for query, _ in of_dashboard({**dashboard, "templating": {"list": []}}):
        assert 'namespace="$namespace"' in query
        assert "$release" in query


def test_a_dashboard_is_a_configmap_that_grafana_finds(helm: "Helm", minimal: "Values") -> None:
    minimal["monitoring"] = {
        "labels": {"team": "shop"},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Celery"}},
    }
    release = helm.template(minimal)
    for name, dashboard in dashboards().items():
        found = release.one("ConfigMap", f"jobs-dashboard-{name}")
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["labels"]["team"] == "shop"
        assert found["metadata"]["annotations"] == {"grafana_folder": "Celery"}
        ((file, text),) = found["data"].items()
        assert file == f"celery-{name}.json"
        assert json.loads(text) == dashboard


def _overlaps(panels: "list[Object]") -> bool:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    return len(cells) != len(set(cells))
