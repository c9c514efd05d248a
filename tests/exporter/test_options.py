"""The environment."""

from pathlib import Path

import pytest

from celery_exporter import options
from celery_exporter.broker.management import Management
from celery_exporter.options import Options
from celery_runtime.errors import SettingsError


def test_nothing_needs_to_be_set() -> None:
    assert options.read({}) == Options(
        port=9808,
        per_worker=True,
        management_url="",
        tasks_from="workers",
        scaler_port=9809,
        scaler_tls=None,
        api_port=9810,
        api_tls=None,
    )


def test_everything_can_be_set(tmp_path: Path) -> None:
    environment = {
        "CELERY_EXPORTER_PORT": "0",
        "CELERY_EXPORTER_PER_WORKER": "false",
        "CELERY_EXPORTER_MANAGEMENT_URL": "http://jobs-rabbitmq:15672",
        "CELERY_EXPORTER_TASKS_FROM": "events",
        "CELERY_EXPORTER_SCALER_PORT": "1",
        "CELERY_EXPORTER_SCALER_TLS_DIR": str(tmp_path),
        "CELERY_EXPORTER_API_PORT": "2",
        "CELERY_EXPORTER_API_TLS_DIR": str(tmp_path),
    }
    assert options.read(environment) == Options(
        port=0,
        per_worker=False,
        management_url="http://jobs-rabbitmq:15672",
        tasks_from="events",
        scaler_port=1,
        scaler_tls=tmp_path,
        api_port=2,
        api_tls=tmp_path,
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("CELERY_EXPORTER_PORT", "http"),
        ("CELERY_EXPORTER_PORT", "65536"),
        ("CELERY_EXPORTER_PORT", "-1"),
        ("CELERY_EXPORTER_PER_WORKER", "yes"),
        ("CELERY_EXPORTER_TASKS_FROM", "both"),
        ("CELERY_EXPORTER_SCALER_PORT", "grpc"),
        ("CELERY_EXPORTER_API_PORT", "65536"),
        ("CELERY_EXPORTER_SCALER_TLS_DIR", "/nowhere"),
        ("CELERY_EXPORTER_API_TLS_DIR", "/nowhere"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be .*{wrong}"):
        options.read({name: wrong})


@pytest.mark.parametrize("url", ["jobs-rabbitmq:15672", "amqp://jobs", "http://"])
def test_a_management_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="CELERY_EXPORTER_MANAGEMENT_URL must be a URL"):
        Management(url)
