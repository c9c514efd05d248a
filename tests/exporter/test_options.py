"""The environment."""

import pytest

from celery_exporter import options
from celery_exporter.broker.management import Management
from celery_exporter.options import Options
from celery_runtime.errors import SettingsError


def test_nothing_needs_to_be_set() -> None:
    assert options.read({}) == Options(port=9808, per_worker=True, management_url="")


def test_everything_can_be_set() -> None:
    environment = {
        "CELERY_EXPORTER_PORT": "0",
        "CELERY_EXPORTER_PER_WORKER": "false",
        "CELERY_EXPORTER_MANAGEMENT_URL": "http://jobs-rabbitmq:15672",
    }
    assert options.read(environment) == Options(
        port=0, per_worker=False, management_url="http://jobs-rabbitmq:15672"
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("CELERY_EXPORTER_PORT", "http"),
        ("CELERY_EXPORTER_PORT", "65536"),
        ("CELERY_EXPORTER_PORT", "-1"),
        ("CELERY_EXPORTER_PER_WORKER", "yes"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be .*{wrong}"):
        options.read({name: wrong})


@pytest.mark.parametrize("url", ["jobs-rabbitmq:15672", "amqp://jobs", "http://"])
def test_a_management_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="CELERY_EXPORTER_MANAGEMENT_URL must be a URL"):
        Management(url)
