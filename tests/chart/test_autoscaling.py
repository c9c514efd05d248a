"""Worker groups that grow and shrink: every mode, on every broker."""

from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from tests.chart import kedaschema
from tests.chart.test_environments import MINORS

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Release, Values

NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
BROKERS: dict[str, dict[str, Any]] = {
    "rabbitmq": {},
    "own rabbitmq": NO_RABBITMQ
    | {"broker": {"mode": "existing", "host": "mq", "existingSecret": "login"}},
    "rabbitmq's url": NO_RABBITMQ | {"broker": {"mode": "existing", "existingSecret": "login"}},
    "redis": NO_RABBITMQ | {"broker": {"kind": "redis"}},
    "sentinel": NO_RABBITMQ
    | {
        "broker": {
            "kind": "redis",
            "mode": "existing",
            "existingSecret": "login",
            "sentinel": {"master": "shop", "hosts": ["one:26379", "two.example:26379"]},
        }
    },
    "sqs": NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}},
}
MODES = ("keda", "keda-triggers", "hpa", "queue-length", "cpu")
SEEN_BY = {mode: BROKERS.keys() for mode in MODES} | {
    "queue-length": [name for name in BROKERS if "rabbitmq" in name]
}
CASES = [(mode, broker) for mode in MODES for broker in SEEN_BY[mode]]


@pytest.fixture
def scaled(minimal: "Values") -> "Values":
    """Both groups have autoscaling: io for tasks of a minute, cpu for tasks of ten."""
    minimal["workerDefaults"] = {
        "autoscaling": {"minReplicas": 1, "maxReplicas": 20, "queueWaitSeconds": 10}
    }
    minimal["workers"]["io"]["maxTaskSeconds"] = 60
    return minimal


@pytest.mark.parametrize(("mode", "broker"), CASES)
def test_every_mode_fits_the_schemas_on_every_broker(
    helm: "Helm", scaled: "Values", mode: str, broker: str
) -> None:
    release = helm.template(scaled | BROKERS[broker] | {"autoscaling": {"mode": mode}})
    for found in release.objects:
        if found["apiVersion"].startswith("keda.sh/"):
            kedaschema.validate(found)
        else:
            kubernetes_validate.validate(found, "1.34", strict=True)
    assert {o["metadata"]["name"] for o in _scalers(release)} == {
        *("jobs-worker-io", "jobs-worker-cpu")
    }


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("mode", ["hpa", "queue-length", "cpu"])
def test_an_hpa_and_its_api_fit_the_schema_of_the_kubernetes_minor(
    helm: "Helm", scaled: "Values", mode: str, minor: str
) -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": mode}})
    for kind in ("HorizontalPodAutoscaler", "APIService", "RoleBinding", "Role"):
        for found in release.all(kind):
            assert kubernetes_validate.validate(found, minor, strict=True) == minor


@pytest.mark.parametrize("mode", MODES)
def test_a_scaler_names_the_deployment_whose_replicas_nobody_else_sets(
    helm: "Helm", scaled: "Values", mode: str
) -> None:
    scaled["workers"]["cpu"] |= {"autoscaling": None, "replicas": 3}
    release = helm.template(scaled | {"autoscaling": {"mode": mode}})
    (scaler,) = _scalers(release)
    assert scaler["spec"]["scaleTargetRef"]["name"] == "jobs-worker-io"
    assert "replicas" not in release.one("Deployment", "jobs-worker-io")["spec"]
    assert release.one("Deployment", "jobs-worker-cpu")["spec"]["replicas"] == 3


def test_without_a_mode_groups_have_their_replicas(helm: "Helm", scaled: "Values") -> None:
    scaled["workers"]["io"]["replicas"] = 4
    release = helm.template(scaled)
    assert not _scalers(release)
    assert release.one("Deployment", "jobs-worker-io")["spec"]["replicas"] == 4
    assert release.one("Deployment", "jobs-worker-cpu")["spec"]["replicas"] == 1


def test_a_group_overrides_the_defaults_key_by_key(helm: "Helm", scaled: "Values") -> None:
    scaled["workers"]["io"]["autoscaling"] = {"minReplicas": 0}
    release = helm.template(scaled | {"autoscaling": {"mode": "keda"}})
    spec = release.one("ScaledObject", "jobs-worker-io")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 20)


def test_keda_is_told_by_the_exporter(helm: "Helm", scaled: "Values") -> None:
    scaled["workers"]["io"]["autoscaling"] = {"minReplicas": 0}
    release = helm.template(scaled | {"autoscaling": {"mode": "keda"}})
    assert release.one("ScaledObject", "jobs-worker-io")["spec"] == {
        "scaleTargetRef": {"name": "jobs-worker-io"},
        "minReplicaCount": 0,
        "maxReplicaCount": 20,
        "pollingInterval": 5,
        "cooldownPeriod": 5,
        "fallback": {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"},
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Pods", "value": 20, "periodSeconds": 15}],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": 30,
                        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                    },
                }
            }
        },
        "triggers": [
            {
                "type": "external-push",
                "metadata": {"scalerAddress": "jobs-exporter.celery-demo:9809", "group": "io"},
            }
        ],
    }
    assert not release.all("TriggerAuthentication")


def test_the_exporters_address_is_that_of_its_service(helm: "Helm", scaled: "Values") -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": "keda"}})
    (trigger,) = release.one("ScaledObject", "jobs-worker-io")["spec"]["triggers"]
    host, _, port = trigger["metadata"]["scalerAddress"].partition(":")
    service = release.one("Service", host.removesuffix(".celery-demo"))
    ports = {each["name"]: each["port"] for each in service["spec"]["ports"]}
    assert ports["scaler"] == int(port)


@pytest.mark.parametrize(("least", "fallback"), [(0, 1), (1, 1), (5, 5)])
@pytest.mark.parametrize("mode", ["keda", "keda-triggers"])
def test_a_scaler_that_cannot_be_asked_takes_no_pod_away(
    helm: "Helm", scaled: "Values", mode: str, least: int, fallback: int
) -> None:
    scaled["workers"]["io"]["autoscaling"] = {"minReplicas": least}
    release = helm.template(scaled | {"autoscaling": {"mode": mode}})
    # KEDA scales to zero after all where this is 0.
    assert release.one("ScaledObject", "jobs-worker-io")["spec"]["fallback"] == {
        "failureThreshold": 3,
        "replicas": fallback,
        "behavior": "currentReplicasIfHigher",
    }


def test_keda_and_the_exporter_know_each_other_by_certificates(
    helm: "Helm", scaled: "Values"
) -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": "keda", "tls": {"enabled": True}}})
    (trigger,) = release.one("ScaledObject", "jobs-worker-io")["spec"]["triggers"]
    assert trigger["metadata"]["enableTLS"] == "true"
    authentication = release.one("TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert _references(authentication) == {
        "caCert": ("jobs-exporter-tls", "ca.crt"),
        "tlsClientCert": ("jobs-exporter-tls", "tls.crt"),
        "tlsClientKey": ("jobs-exporter-tls", "tls.key"),
    }
    kedaschema.validate(authentication)


WINDOWS = [(mode, 60, 90) for mode in ("keda-triggers", "queue-length", "cpu")] + [
    ("cpu", 600, 630),
    # An hour is as much as the HPA's window can be.
    ("cpu", 7200, 3600),
    ("keda", 7200, 30),
    ("hpa", 7200, 30),
]


@pytest.mark.parametrize(("mode", "longest", "window"), WINDOWS)
def test_where_running_work_is_not_seen_pods_stay_for_as_long_as_a_task_may_take(
    helm: "Helm", scaled: "Values", mode: str, longest: int, window: int
) -> None:
    scaled["workers"]["io"]["maxTaskSeconds"] = longest
    scaled["rabbitmq"]["consumerTimeoutSeconds"] = 9000
    release = helm.template(scaled | {"autoscaling": {"mode": mode}})
    (scaler,) = [o for o in _scalers(release) if o["metadata"]["name"] == "jobs-worker-io"]
    assert _behavior(scaler) == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 20, "periodSeconds": 15}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": window,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }


def test_the_last_pod_stays_for_as_long_as_a_task_may_take(helm: "Helm", scaled: "Values") -> None:
    scaled["workers"]["io"]["maxTaskSeconds"] = 7200
    scaled["rabbitmq"]["consumerTimeoutSeconds"] = 9000
    release = helm.template(scaled | {"autoscaling": {"mode": "keda-triggers"}})
    spec = release.one("ScaledObject", "jobs-worker-io")["spec"]
    assert spec["cooldownPeriod"] == 7230
    assert spec["pollingInterval"] < 30


def test_the_embedded_rabbitmq_tells_what_workers_hold_and_queues_are_added_up(
    helm: "Helm", scaled: "Values"
) -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": "keda-triggers"}})
    spec = release.one("ScaledObject", "jobs-worker-io")["spec"]
    assert spec["advanced"]["scalingModifiers"] == {"formula": "q0 + q1", "target": "100"}
    assert spec["triggers"] == [
        {
            "type": "rabbitmq",
            "name": name,
            "metadata": {
                "host": "http://jobs-rabbitmq.celery-demo:15672",
                "vhostName": "/",
                "queueName": queue,
                "mode": "QueueLength",
                "value": "100",
            },
            "authenticationRef": {"name": "jobs-broker"},
        }
        for name, queue in (("q0", "default"), ("q1", "email"))
    ]
    assert (
        "scalingModifiers" not in release.one("ScaledObject", "jobs-worker-cpu")["spec"]["advanced"]
    )
    assert _references(release.one("TriggerAuthentication", "jobs-broker")) == {
        "username": ("shop-rabbitmq", "username"),
        "password": ("shop-rabbitmq", "password"),
    }


OWN: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"host": "mq"}, {"host": "amqp://mq.celery-demo:5672", "vhostName": "/"}),
    (
        {"host": "mq.example", "tls": True, "vhost": "shop"},
        {"host": "amqps://mq.example:5671", "vhostName": "shop"},
    ),
    ({"host": "10.0.0.7", "port": 5673}, {"host": "amqp://10.0.0.7:5673", "vhostName": "/"}),
    ({}, {}),
]


@pytest.mark.parametrize(("broker", "where"), OWN)
def test_another_rabbitmq_is_asked_by_amqp_from_kedas_namespace(
    helm: "Helm", scaled: "Values", broker: dict[str, Any], where: dict[str, str]
) -> None:
    scaled |= NO_RABBITMQ | {"broker": {"mode": "existing", "existingSecret": "login"} | broker}
    release = helm.template(scaled | {"autoscaling": {"mode": "keda-triggers"}})
    (trigger,) = release.one("ScaledObject", "jobs-worker-cpu")["spec"]["triggers"]
    assert (
        trigger["metadata"]
        == {
            "queueName": "thumbnails",
            "mode": "QueueLength",
            "value": "2",
        }
        | where
    )
    references = _references(release.one("TriggerAuthentication", "jobs-broker"))
    assert references.keys() == ({"username", "password"} if where else {"host"})


def test_redis_is_asked_for_the_list_of_each_priority(helm: "Helm", scaled: "Values") -> None:
    scaled |= BROKERS["redis"] | {"autoscaling": {"mode": "keda-triggers"}}
    release = helm.template(scaled)
    spec = release.one("ScaledObject", "jobs-worker-cpu")["spec"]
    # As kombu names them.
    lists = ["thumbnails", *(f"thumbnails\x06\x16{step}" for step in (3, 6, 9))]
    assert [trigger["metadata"] for trigger in spec["triggers"]] == [
        {
            "address": "jobs-redis.celery-demo:6379",
            "databaseIndex": "1",
            "listName": name,
            "listLength": "2",
        }
        for name in lists
    ]
    assert spec["advanced"]["scalingModifiers"]["formula"] == "q0 + q1 + q2 + q3"
    assert _references(release.one("TriggerAuthentication", "jobs-broker")) == {
        "password": ("shop-redis", "password")
    }


def test_an_embedded_redis_with_tls_is_asked_as_its_user_and_verified(
    helm: "Helm", scaled: "Values"
) -> None:
    scaled |= BROKERS["redis"] | {"autoscaling": {"mode": "keda-triggers"}}
    scaled["redis"] = {"tls": {"enabled": True}, "auth": {"username": "celery"}}
    release = helm.template(scaled)
    trigger = release.one("ScaledObject", "jobs-worker-cpu")["spec"]["triggers"][0]
    assert {"username": "celery", "enableTLS": "true"}.items() <= trigger["metadata"].items()
    assert _references(release.one("TriggerAuthentication", "jobs-broker")) == {
        "password": ("jobs-redis", "password"),
        "ca": ("jobs-redis-tls", "ca.crt"),
    }


def test_lists_of_redis_have_the_prefix_and_the_steps_that_workers_use(
    helm: "Helm", scaled: "Values"
) -> None:
    scaled |= NO_RABBITMQ | {
        "autoscaling": {"mode": "keda-triggers"},
        "broker": {
            "kind": "redis",
            "mode": "existing",
            "host": "cache.example",
            "tls": True,
            "keyPrefix": "shop:",
            "existingSecret": "login",
        },
        "config": {"broker_transport_options": {"priority_steps": [0, 5]}},
    }
    release = helm.template(scaled)
    triggers = release.one("ScaledObject", "jobs-worker-cpu")["spec"]["triggers"]
    names = [trigger["metadata"]["listName"] for trigger in triggers]
    assert names == ["shop:thumbnails", "shop:thumbnails\x06\x165"]
    assert triggers[0]["metadata"]["enableTLS"] == "true"
    assert _references(release.one("TriggerAuthentication", "jobs-broker")) == {
        "password": ("login", "password"),
        "username": ("login", "username"),
        "ca": ("login", "ca.crt"),
    }


def test_sentinels_are_asked_for_the_master(helm: "Helm", scaled: "Values") -> None:
    release = helm.template(
        scaled | BROKERS["sentinel"] | {"autoscaling": {"mode": "keda-triggers"}}
    )
    trigger = release.one("ScaledObject", "jobs-worker-cpu")["spec"]["triggers"][0]
    assert trigger["type"] == "redis-sentinel"
    assert trigger["metadata"] == {
        "addresses": "one.celery-demo:26379,two.example:26379",
        "sentinelMaster": "shop",
        "databaseIndex": "0",
        "listName": "thumbnails",
        "listLength": "2",
    }
    references = _references(release.one("TriggerAuthentication", "jobs-broker"))
    assert references["sentinelPassword"] == ("login", "sentinel-password")


SQS_QUEUES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"queuePrefix": "shop-"}, {"queueURL": "shop-thumbnails"}),
    (
        {"endpoint": "https://sqs.example"},
        {"queueURL": "thumbnails", "awsEndpoint": "https://sqs.example"},
    ),
    (
        {
            "queueUrls": {
                name: f"https://sqs.example/1/{name}"
                for queue in ("default", "email", "thumbnails")
                for name in (queue, f"{queue}-dead")
            }
        },
        {"queueURL": "https://sqs.example/1/thumbnails"},
    ),
]


@pytest.mark.parametrize(("broker", "expected"), SQS_QUEUES)
def test_queues_of_sqs_have_the_names_that_workers_use(
    helm: "Helm", scaled: "Values", broker: dict[str, Any], expected: dict[str, str]
) -> None:
    scaled |= BROKERS["sqs"] | {"autoscaling": {"mode": "keda-triggers"}}
    scaled["broker"] = scaled["broker"] | broker
    (trigger,) = helm.template(scaled).one("ScaledObject", "jobs-worker-cpu")["spec"]["triggers"]
    assert trigger["type"] == "aws-sqs-queue"
    assert trigger["metadata"] == {"awsRegion": "eu-central-1", "queueLength": "2"} | expected


def test_sqs_takes_kedas_identity_or_the_access_key(helm: "Helm", scaled: "Values") -> None:
    scaled |= BROKERS["sqs"] | {"autoscaling": {"mode": "keda-triggers"}}
    authentication = helm.template(scaled).one("TriggerAuthentication", "jobs-broker")
    assert authentication["spec"] == {"podIdentity": {"provider": "aws"}}
    scaled["broker"] = scaled["broker"] | {"existingSecret": "key"}
    authentication = helm.template(scaled).one("TriggerAuthentication", "jobs-broker")
    assert _references(authentication) == {
        "awsAccessKeyID": ("key", "username"),
        "awsSecretAccessKey": ("key", "password"),
    }


def test_an_hpa_asks_for_the_exporters_number(helm: "Helm", scaled: "Values") -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": "hpa"}})
    assert _metrics(release) == [("celery_desired_replicas", {"group": "io"}, "1")]


def test_an_hpa_asks_for_the_length_of_each_queue(helm: "Helm", scaled: "Values") -> None:
    scaled["autoscaling"] = {"mode": "queue-length"}
    assert _metrics(helm.template(scaled)) == [
        ("rabbitmq_queue_messages_ready", {"queue": "default"}, "100"),
        ("rabbitmq_queue_messages_ready", {"queue": "email"}, "100"),
    ]
    scaled["autoscaling"]["messagesPerReplica"] = 7
    assert {target for _, _, target in _metrics(helm.template(scaled))} == {"7"}


def test_an_hpa_reads_the_cpu_of_the_worker_alone(helm: "Helm", scaled: "Values") -> None:
    release = helm.template(scaled | {"autoscaling": {"mode": "cpu"}})
    (metric,) = release.one("HorizontalPodAutoscaler", "jobs-worker-io")["spec"]["metrics"]
    assert metric["containerResource"] == {
        "name": "cpu",
        "container": "worker",
        "target": {"type": "Utilization", "averageUtilization": 80},
    }


def test_helm_test_asks_only_for_queues_that_always_have_a_worker(
    helm: "Helm", scaled: "Values"
) -> None:
    scaled["workers"]["io"]["autoscaling"] = {"minReplicas": 0}
    release = helm.template(scaled | {"autoscaling": {"mode": "keda"}})
    assert release.workloads["jobs-test-consumers"].container["args"] == ["thumbnails"]


def test_a_change_of_the_bounds_restarts_no_worker(helm: "Helm", scaled: "Values") -> None:
    scaled["autoscaling"] = {"mode": "keda"}
    before = helm.template(scaled)
    scaled["workers"]["io"]["autoscaling"] = {"maxReplicas": 30}
    after = helm.template(scaled)
    workers = [w.name for w in before.celery]
    assert [after.workloads[name].owner for name in workers] == [
        before.workloads[name].owner for name in workers
    ]
    assert before.one("ConfigMap", "jobs-exporter") != after.one("ConfigMap", "jobs-exporter")


def test_notes_show_the_bounds_and_warn_where_the_release_takes_the_clusters_one_place(
    helm: "Helm", scaled: "Values"
) -> None:
    notes = helm.notes(scaled | {"autoscaling": {"mode": "hpa"}})
    assert "from default, email, 1 to 20 pods (hpa)" in notes
    assert "WARNING: this release is now the cluster's one provider of external.metrics" in notes
    for values in ({"mode": "cpu"}, {"mode": "queue-length", "externalMetricsApi": False}):
        assert "external.metrics" not in helm.notes(scaled | {"autoscaling": values})
    assert "pods (" not in helm.notes(scaled)


def test_what_scales_to_zero_is_not_warned_of(helm: "Helm", minimal: "Values") -> None:
    bounds = {"minReplicas": 0, "maxReplicas": 2, "queueWaitSeconds": 5}
    minimal["workers"]["io"]["autoscaling"] = bounds
    minimal["workerDefaults"] = {"replicas": 0}
    minimal["autoscaling"] = {"mode": "keda"}
    notes = helm.notes(minimal)
    assert "workers.io has 0 replicas" not in notes
    assert "WARNING: workers.cpu has 0 replicas" in notes


def _scalers(release: "Release") -> list["Object"]:
    return release.all("ScaledObject") + release.all("HorizontalPodAutoscaler")


def _behavior(scaler: "Object") -> "Object":
    spec = scaler["spec"]
    holder = spec if "behavior" in spec else spec["advanced"]["horizontalPodAutoscalerConfig"]
    behavior: Object = holder["behavior"]
    return behavior


def _references(authentication: "Object") -> dict[str, tuple[str, str]]:
    return {
        each["parameter"]: (each["name"], each["key"])
        for each in authentication["spec"]["secretTargetRef"]
    }


def _metrics(release: "Release") -> list[tuple[str, dict[str, str], str]]:
    metrics = release.one("HorizontalPodAutoscaler", "jobs-worker-io")["spec"]["metrics"]
    external = [metric["external"] for metric in metrics]
    assert {each["target"]["type"] for each in external} == {"AverageValue"}
    return [
        (
            each["metric"]["name"],
            each["metric"]["selector"]["matchLabels"],
            each["target"]["averageValue"],
        )
        for each in external
    ]
