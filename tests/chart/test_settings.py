"""settings.json: what the user said, and where broker and results are."""

from typing import TYPE_CHECKING, Any

import pytest

from celery_runtime.settings.configuration import celery_configuration
from celery_runtime.settings.credentials import Credentials, Secrets
from celery_runtime.settings.parsing import parse

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values


def test_only_what_the_user_set_is_passed_on(helm: "Helm", minimal: "Values") -> None:
    assert helm.template(minimal).settings == {
        "broker": {"kind": "rabbitmq", "host": "jobs-rabbitmq", "port": 5672, "vhost": "/"},
        "resultBackend": {"kind": "redis", "host": "jobs-redis", "port": 6379, "database": 0},
        "defaultQueue": "default",
        "queues": {"default": {}, "email": {}, "thumbnails": {}},
        "maxTaskSeconds": 600,
        "beat": {"keyPrefix": "redbeat:celery-demo/jobs:"},
    }


def test_a_queue_without_a_value_is_a_queue(helm: "Helm", minimal: "Values") -> None:
    minimal["queues"] |= {"email": None, "thumbnails": {"deliveryLimit": 2}}
    assert helm.template(minimal).settings["queues"] == {
        "default": {},
        "email": {},
        "thumbnails": {"deliveryLimit": 2},
    }


def test_settings_and_schedules_arrive_as_they_were_written(
    helm: "Helm", minimal: "Values"
) -> None:
    config: dict[str, Any] = {
        "result_expires": 10_000_000,
        "worker_prefetch_multiplier": 4,
        "task_track_started": False,
        "task_routes": {"shop.tasks.send_email": {"queue": "email"}, "shop.*": "default"},
        "timezone": "Europe/Zürich <&> \"quoted\" '%s' {{ braces }}",
    }
    schedule: dict[str, Any] = {
        "often": {"task": "a.b", "every": 2.5, "queue": "email"},
        "nightly": {"task": "c", "cron": "0 3 * * *", "args": [1, "x"], "kwargs": {"k": [None]}},
    }
    minimal |= {"config": config, "beat": {"schedule": schedule}}
    found = helm.template(minimal).settings
    assert found["config"] == config
    assert found["beat"]["schedule"] == schedule
    assert parse(found).config == config


SENTINEL = {"master": "shop", "hosts": ["sentinel-0:26379", "sentinel-1:26379"]}
QUEUES = ("default", "email", "thumbnails")

#: The kind and what is said about it: all of it arrives, and nothing else.
EXISTING: list[tuple[str, dict[str, Any]]] = [
    ("rabbitmq", {}),
    ("rabbitmq", {"host": "mq.example"}),
    ("rabbitmq", {"host": "mq.example", "port": 5673, "vhost": "shop", "tls": True}),
    ("redis", {}),
    ("redis", {"host": "cache.example", "port": 6380, "database": 3, "tls": True}),
    ("redis", {"sentinel": SENTINEL, "keyPrefix": "shop:", "visibilityTimeoutSeconds": 900}),
    ("sqs", {"region": "eu-central-1", "queuePrefix": "shop-"}),
    (
        "sqs",
        {
            "region": "eu-central-1",
            "endpoint": "https://sqs.example:4566",
            "visibilityTimeoutSeconds": 43_200,
            "queueUrls": {
                f"{name}{suffix}": f"https://sqs.example/1/{name}{suffix}"
                for name in QUEUES
                for suffix in ("", "-dead")
            },
        },
    ),
]


@pytest.mark.parametrize(("kind", "given"), EXISTING)
def test_an_existing_broker_is_described_by_its_keys(
    helm: "Helm", minimal: "Values", kind: str, given: dict[str, Any]
) -> None:
    minimal["broker"] = {"kind": kind, "mode": "existing", "existingSecret": "mq", **given}
    minimal["rabbitmq"] = {"enabled": False}
    found = helm.template(minimal).settings
    assert found["broker"] == {"kind": kind, **given}
    parse(found)


def test_an_embedded_redis_keeps_messages_and_results_apart(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["broker"] = {"kind": "redis", "keyPrefix": "shop:", "visibilityTimeoutSeconds": 120}
    minimal["rabbitmq"] = {"enabled": False}
    found = helm.template(minimal).settings
    assert found["broker"] == {
        **{"kind": "redis", "host": "jobs-redis", "port": 6379, "database": 1},
        **{"keyPrefix": "shop:", "visibilityTimeoutSeconds": 120},
    }
    assert found["resultBackend"]["database"] == 0
    parse(found)


def test_redis_can_be_the_broker_alone(helm: "Helm", minimal: "Values") -> None:
    minimal["broker"] = {"kind": "redis"}
    minimal["rabbitmq"] = {"enabled": False}
    minimal["resultBackend"] = {"mode": "existing", "existingSecret": "cache"}
    release = helm.template(minimal)
    assert release.settings["broker"]["host"] == "jobs-redis"
    assert "host" not in release.settings["resultBackend"]
    assert [o["metadata"]["name"] for o in release.all("StatefulSet")] == ["jobs-redis"]


@pytest.mark.parametrize("kind", ["redis", "sqs"])
def test_a_message_is_hidden_for_longer_than_the_longest_task_of_all_groups(
    helm: "Helm", minimal: "Values", kind: str
) -> None:
    minimal["broker"] = {"redis": {}, "sqs": {"mode": "existing", "region": "eu-central-1"}}[kind]
    minimal["broker"]["kind"] = kind
    minimal["rabbitmq"] = {"enabled": False}
    minimal["workers"]["io"]["maxTaskSeconds"] = 7200
    found = helm.template(minimal).settings
    assert found["maxTaskSeconds"] == 7200
    login = Credentials("either", username="x", password="x")
    secrets = Secrets(login, login)
    configured = celery_configuration(parse(found), secrets)
    assert configured["broker_transport_options"]["visibility_timeout"] == 7260


def test_a_queue_of_sqs_can_be_fifo(helm: "Helm", minimal: "Values") -> None:
    minimal["broker"] = {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}
    minimal["rabbitmq"] = {"enabled": False}
    minimal["queues"]["orders.fifo"] = {}
    minimal["workers"]["io"]["queues"].append("orders.fifo")
    release = helm.template(minimal)
    assert release.workloads["jobs-worker-io"].args["queues"] == "default,email,orders.fifo"
    assert "orders.fifo" in parse(release.settings).delivery_limits


def test_an_existing_redis_is_described_by_its_keys(helm: "Helm", minimal: "Values") -> None:
    given = {"host": "cache.example", "port": 6380, "database": 3}
    minimal["resultBackend"] = {"mode": "existing", "existingSecret": "cache", **given}
    minimal["redis"] = {"enabled": False}
    found = helm.template(minimal).settings
    assert found["resultBackend"] == {"kind": "redis", **given}
    parse(found)


def test_an_encrypted_redis_is_said_to_be(helm: "Helm", minimal: "Values") -> None:
    given = {"host": "cache.example", "tls": True}
    minimal["resultBackend"] = {"mode": "existing", "existingSecret": "cache", **given}
    minimal["redis"] = {"enabled": False}
    assert helm.template(minimal).settings["resultBackend"] == {"kind": "redis", **given}


def test_a_renamed_subchart_is_found(helm: "Helm", minimal: "Values") -> None:
    minimal["rabbitmq"] |= {"fullnameOverride": "shop-mq"}
    minimal["redis"] |= {"fullnameOverride": "shop-cache"}
    release = helm.template(minimal)
    assert release.settings["broker"]["host"] == "shop-mq"
    assert release.settings["resultBackend"]["host"] == "shop-cache"
    assert {"shop-mq", "shop-cache"} <= {o["metadata"]["name"] for o in release.all("Service")}
