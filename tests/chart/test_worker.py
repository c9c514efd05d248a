"""Worker groups: what a group's few keys turn into."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release, Values, Workload


def test_a_prefork_group_runs_the_runtime_with_what_it_states(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["workers"]["cpu"] |= {"concurrency": 3, "maxTasksPerChild": 100}
    worker = helm.template(minimal).workloads["jobs-worker-cpu"]
    assert worker.container["command"] == ["celery"]
    assert worker.container["args"][:3] == ["-A", "celery_runtime.app", "worker"]
    assert worker.args == {
        "hostname": "cpu@%h",
        "pool": "prefork",
        "concurrency": "3",
        "queues": "thumbnails",
        "loglevel": "info",
        "time-limit": "600",
        "soft-time-limit": "570",
        "max-tasks-per-child": "100",
        "without-gossip": "",
        "without-mingle": "",
        "without-heartbeat": "",
    }


def test_a_gevent_group_has_a_hard_limit_only(helm: "Helm", minimal: "Values") -> None:
    minimal["workerDefaults"] = {"maxTasksPerChild": 50}
    release = helm.template(minimal)
    gevent = release.workloads["jobs-worker-io"].args
    assert gevent["pool"] == "gevent"
    assert gevent["queues"] == "default,email"
    assert gevent["time-limit"] == "300"
    assert "soft-time-limit" not in gevent
    assert "max-tasks-per-child" not in gevent
    assert release.workloads["jobs-worker-cpu"].args["max-tasks-per-child"] == "50"


@pytest.mark.parametrize(
    ("seconds", "soft"), [(2, 1), (10, 9), (60, 54), (300, 270), (301, 271), (1500, 1470)]
)
def test_limits_and_grace_follow_from_the_longest_task(
    helm: "Helm", minimal: "Values", seconds: int, soft: int
) -> None:
    minimal["workers"]["cpu"]["maxTaskSeconds"] = seconds
    worker = helm.template(minimal).workloads["jobs-worker-cpu"]
    assert worker.args["time-limit"] == str(seconds)
    assert worker.args["soft-time-limit"] == str(soft)
    assert worker.spec["terminationGracePeriodSeconds"] == seconds + 30


def test_a_longer_grace_is_taken(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["cpu"]["terminationGracePeriodSeconds"] = 3600
    worker = helm.template(minimal).workloads["jobs-worker-cpu"]
    assert worker.spec["terminationGracePeriodSeconds"] == 3600
    assert worker.args["time-limit"] == "600"


def test_a_group_overrides_the_defaults_key_by_key(helm: "Helm", minimal: "Values") -> None:
    minimal["workerDefaults"] = {
        "replicas": 2,
        "env": {"SHARED": "default", "ONLY_DEFAULT": "d"},
        "resources": {"limits": {"memory": "1Gi"}},
        "nodeSelector": {"pool": "work"},
        "tolerations": [{"key": "work", "operator": "Exists"}],
        "podAnnotations": {"example/owner": "shop"},
    }
    minimal["env"] = {"SHARED": "top", "ONLY_TOP": "t"}
    minimal["workers"]["cpu"] |= {
        "replicas": 0,
        "env": {"SHARED": "", "CELERY_LIKE": "$x: 'y'"},
        "resources": {"limits": {"memory": "2Gi"}},
        "tolerations": [],
    }
    cpu = helm.template(minimal).workloads["jobs-worker-cpu"]
    io = helm.template(minimal).workloads["jobs-worker-io"]
    assert cpu.owner["spec"]["replicas"] == 0
    assert io.owner["spec"]["replicas"] == 2
    assert cpu.env == {
        "CELERY_APP": "shop.celery:app",
        "CELERY_WORKER_GROUP": "cpu",
        "CELERY_RUNTIME_DRAIN_SECONDS": "615",
        "SHARED": "",
        "ONLY_DEFAULT": "d",
        "ONLY_TOP": "t",
        "CELERY_LIKE": "$x: 'y'",
    }
    assert io.env["SHARED"] == "default"
    assert cpu.container["resources"]["limits"] == {"memory": "2Gi"}
    assert cpu.container["resources"]["requests"] == {"cpu": "100m", "memory": "256Mi"}
    assert cpu.spec["nodeSelector"] == {"pool": "work"}
    assert "tolerations" not in cpu.spec
    assert io.spec["tolerations"] == [{"key": "work", "operator": "Exists"}]
    assert io.metadata["annotations"]["example/owner"] == "shop"


@pytest.mark.parametrize(("grace", "drain"), [(None, "75"), (200, "185"), (62, "60")])
def test_what_outlasts_the_drain_goes_back_before_the_pod_is_killed(
    helm: "Helm", minimal: "Values", grace: int | None, drain: str
) -> None:
    minimal["workers"]["io"] |= {"maxTaskSeconds": 60, "terminationGracePeriodSeconds": grace}
    io = helm.template(minimal).workloads["jobs-worker-io"]
    assert io.env["CELERY_RUNTIME_DRAIN_SECONDS"] == drain


def test_an_overlay_removes_a_group_with_null(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["cpu"] = None
    assert {w.name for w in helm.template(minimal).celery} == {"jobs-worker-io", "jobs-beat"}


def test_a_rollout_never_has_fewer_pods_than_before(helm: "Helm", minimal: "Values") -> None:
    strategy = helm.template(minimal).workloads["jobs-worker-io"].owner["spec"]["strategy"]
    assert strategy == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
    }


def test_groups_are_told_apart_by_a_label(helm: "Helm", minimal: "Values") -> None:
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    assert worker.selector == {
        "app.kubernetes.io/name": "celery",
        "app.kubernetes.io/instance": "jobs",
        "app.kubernetes.io/component": "worker",
        "celery-worker-group": "io",
    }


def test_probes_read_the_health_endpoint_patiently(helm: "Helm", minimal: "Values") -> None:
    for workload in helm.template(minimal).celery:
        container = workload.container
        assert container["ports"] == [{"name": "health", "containerPort": 8080}]
        paths = {
            kind: container[kind]["httpGet"]
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        assert paths == {
            "startupProbe": {"path": "/live", "port": "health"},
            "readinessProbe": {"path": "/ready", "port": "health"},
            "livenessProbe": {"path": "/live", "port": "health"},
        }
        assert _patience(container["startupProbe"]) >= 60
        assert _patience(container["livenessProbe"]) >= 60


EVERY_CELERY_POD = {"jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter"}
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "one group's concurrency": (
        {"workers": {"io": {"concurrency": 7}}},
        {"jobs-worker-io", "jobs-exporter"},
    ),
    "one group's environment": ({"workers": {"cpu": {"env": {"A": "b"}}}}, {"jobs-worker-cpu"}),
    "a group that is new": (
        {"workers": {"more": {"queues": ["email"]}}},
        {"jobs-worker-more", "jobs-exporter"},
    ),
    # On RabbitMQ no other worker depends on the longest task of all groups.
    "the longest task": (
        {"workers": {"cpu": {"maxTaskSeconds": 900}}},
        {"jobs-worker-cpu", "jobs-exporter"},
    ),
    "one group's replicas": ({"workers": {"cpu": {"replicas": 9}}}, set()),
    "beat's resources": ({"beat": {"resources": {"limits": {"memory": "1Gi"}}}}, {"jobs-beat"}),
    "the schedule": ({"beat": {"schedule": {"x": {"task": "t", "every": 5}}}}, {"jobs-beat"}),
    "a queue": (
        {"queues": {"default": {"deliveryLimit": 3}}},
        EVERY_CELERY_POD,
    ),
    "a setting": (
        {"config": {"result_expires": 60}},
        EVERY_CELERY_POD,
    ),
    "RabbitMQ's Secret": (
        {"rabbitmq": {"auth": {"existingSecret": "other"}}},
        EVERY_CELERY_POD | {"jobs-rabbitmq"},
    ),
    "RabbitMQ's timeout": ({"rabbitmq": {"consumerTimeoutSeconds": 3600}}, {"jobs-rabbitmq"}),
    "Redis's memory": ({"redis": {"resources": {"limits": {"memory": "1Gi"}}}}, {"jobs-redis"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_restarts_exactly_the_pods_that_it_concerns(
    helm: "Helm", minimal: "Values", change: str
) -> None:
    before = _pods(helm.template(minimal))
    values, restarted = CHANGES[change]
    after = _pods(helm.template(_merged(minimal, values)))
    assert {name for name, pod in after.items() if pod != before.get(name)} == restarted


def test_a_longer_task_restarts_every_worker_where_messages_have_a_timeout(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal |= {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
    before = _pods(helm.template(minimal))
    after = _pods(helm.template(_merged(minimal, {"workers": {"cpu": {"maxTaskSeconds": 900}}})))
    assert {name for name, pod in after.items() if pod != before[name]} >= {
        *("jobs-worker-io", "jobs-worker-cpu")
    }


def test_a_longer_full_name_is_used_everywhere(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | {"fullnameOverride": "shop-jobs"})
    assert {w.name for w in release.celery} == {
        *("shop-jobs-worker-cpu", "shop-jobs-worker-io", "shop-jobs-beat")
    }
    pods = [*release.celery, release.workloads["shop-jobs-exporter"]]
    accounts = {o["metadata"]["name"] for o in release.all("ServiceAccount")}
    assert accounts == {w.spec["serviceAccountName"] for w in pods}
    settings = release.one("ConfigMap", "shop-jobs-settings")
    for worker in release.celery:
        assert _settings_source(worker) == settings["metadata"]["name"]


def test_a_digest_wins_over_the_tag(helm: "Helm", minimal: "Values") -> None:
    digest = "sha256:" + "0" * 64
    minimal["image"] |= {"digest": digest, "repository": "registry.example:5000/shop"}
    minimal["imagePullSecrets"] = [{"name": "registry"}]
    for workload in helm.template(minimal).celery:
        assert workload.container["image"] == f"registry.example:5000/shop@{digest}"
        assert workload.spec["imagePullSecrets"] == [{"name": "registry"}]


def _patience(probe: "Object") -> int:
    seconds: int = probe["periodSeconds"] * probe.get("failureThreshold", 3)
    return seconds


def _pods(release: "Release") -> dict[str, Any]:
    workloads = release.workloads.values()
    return {w.name: (w.metadata, w.spec) for w in workloads if w.component != "test"}


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = (
            _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return merged


def _settings_source(worker: "Workload") -> str:
    sources = worker.spec["volumes"][0]["projected"]["sources"]
    name: str = sources[0]["configMap"]["name"]
    return name
