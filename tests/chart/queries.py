"""What queries of Prometheus ask for: which metrics, and by which labels."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql

DASHBOARDS = Path(__file__).parents[2] / "charts" / "celery" / "dashboards"

#: What Prometheus adds to everything that it scrapes by prometheus-operator's monitors.
TARGET = {"namespace", "service", "pod", "job", "instance", "endpoint", "container"}
#: What others serve: Prometheus itself, kube-state-metrics, and the kubelet.
OTHERS: Mapping[str, set[str]] = {
    "up": set(),
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container"},
    "container_cpu_usage_seconds_total": {"namespace", "pod", "container"},
    "container_memory_working_set_bytes": {"namespace", "pod", "container"},
}

#: Each metric that is served, and its labels.
Served = Mapping[str, set[str]]
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def dashboards() -> dict[str, Any]:
    """Every dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def of_dashboard(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Its queries, each with the labels that are read from the answer."""
    for variable in dashboard["templating"]["list"]:
        if found := _LABEL_VALUES.fullmatch(variable["query"]):
            yield found[1], {found[2]}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m")
            yield expression, set(re.findall(r"{{(\w+)}}", target["legendFormat"]))


def unknown(expression: str, read: set[str], served: Served) -> list[str]:
    """What it asks for and nobody serves."""
    nodes: list[promql.Expr] = []
    promql.walk(promql.parse(expression), nodes.append)
    selectors = [node for node in nodes if isinstance(node, promql.VectorSelector)]
    problems = [problem for each in selectors for problem in _unserved(each, served)]
    has = TARGET.union(*(served.get(str(each.name), set()) for each in selectors), _made(nodes))
    problems += [f"no label {label}" for label in (read | _grouped(nodes)) - has]
    return [f"{problem}: {expression}" for problem in problems]


def _unserved(selector: promql.VectorSelector, served: Served) -> Iterator[str]:
    name = str(selector.name)
    if name not in served:
        yield f"no metric {name}"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name not in served[name] | TARGET:
            yield f"no label {matcher.name} of {name}"


def _grouped(nodes: list[promql.Expr]) -> set[str]:
    """The labels by which it adds up or matches."""
    modifiers = [
        node.modifier for node in nodes if isinstance(node, promql.AggregateExpr) and node.modifier
    ]
    return {label for modifier in modifiers for label in modifier.labels}


def _made(nodes: list[promql.Expr]) -> set[str]:
    """The labels that it makes itself."""
    calls = [node for node in nodes if isinstance(node, promql.Call)]
    return {call.args[1].val for call in calls if call.func.name == "label_replace"}
