"""settings.json: what the user said, and where broker and results are."""

from typing import TYPE_CHECKING, Any

import pytest

from celery_runtime import settings

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values


def test_only_what_the_user_set_is_passed_on(helm: "Helm", minimal: "Values") -> None:
    assert helm.template(minimal).settings == {
        "broker": {"kind": "rabbitmq", "host": "jobs-rabbitmq", "port": 5672, "vhost": "/"},
        "resultBackend": {"kind": "redis", "host": "jobs-redis", "port": 6379, "database": 0},
        "defaultQueue": "default",
        "queues": {"default": {}, "email": {}, "thumbnails": {}},
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
    assert settings.parse(found).config == config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"host": "mq.example"}, {"host": "mq.example"}),
        (
            {"host": "mq.example", "port": 5673, "vhost": "shop"},
            {"host": "mq.example", "port": 5673, "vhost": "shop"},
        ),
        ({}, {}),
    ],
)
def test_an_existing_broker_is_described_by_its_keys(
    helm: "Helm", minimal: "Values", given: dict[str, Any], expected: dict[str, Any]
) -> None:
    minimal["broker"] = {"mode": "existing", "existingSecret": "mq", **given}
    minimal["rabbitmq"] = {"enabled": False}
    found = helm.template(minimal).settings
    assert found["broker"] == {"kind": "rabbitmq", **expected}
    settings.parse(found)


def test_an_existing_redis_is_described_by_its_keys(helm: "Helm", minimal: "Values") -> None:
    given = {"host": "cache.example", "port": 6380, "database": 3}
    minimal["resultBackend"] = {"mode": "existing", "existingSecret": "cache", **given}
    minimal["redis"] = {"enabled": False}
    found = helm.template(minimal).settings
    assert found["resultBackend"] == {"kind": "redis", **given}
    settings.parse(found)


def test_a_renamed_subchart_is_found(helm: "Helm", minimal: "Values") -> None:
    minimal["rabbitmq"] |= {"fullnameOverride": "shop-mq"}
    minimal["redis"] |= {"fullnameOverride": "shop-cache"}
    release = helm.template(minimal)
    assert release.settings["broker"]["host"] == "shop-mq"
    assert release.settings["resultBackend"]["host"] == "shop-cache"
    assert {"shop-mq", "shop-cache"} <= {o["metadata"]["name"] for o in release.all("Service")}
