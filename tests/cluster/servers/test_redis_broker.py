"""Redis as broker, by the overlay: nothing of RabbitMQ is there, and work is done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.cluster.shop import Shop

NAME = "onredis"
SEND = """
from celery_runtime.app import app
print(app.send_task("celery.accumulate", ("paid", "sent"), queue="email").get(timeout=30))
"""


@pytest.fixture(scope="module")
def onredis(shop: Shop) -> Iterator[Shop]:
    """The demonstration without RabbitMQ."""
    with installed(shop, {}):
        yield shop


@contextmanager
def installed(shop: Shop, more: Mapping[str, object]) -> Iterator[None]:
    """Install it; one worker group is enough, and no beat."""
    options = {
        "workers.cpu": None,
        "workers.io.queues": ["default", "email", "high_priority", "thumbnails"],
        "beat": {"enabled": False, "schedule": {"reconcile": None}},
        **more,
    }
    with shop.release(NAME, *shop.options(options, "dev", "redis")):
        yield


def test_it_runs_without_rabbitmq(onredis: Shop) -> None:
    pods = onredis.get("pods", f"--selector=app.kubernetes.io/instance={NAME}")["items"]
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods}
    assert parts == {"celery", "redis"}


def test_a_task_is_done_and_its_result_comes_back(onredis: Shop) -> None:
    printed = onredis.kubectl("exec", f"deploy/{NAME}-worker-io", "--", "python", "-c", SEND)
    assert printed.split() == ["['paid',", "'sent']"]


def test_helm_test_asks_the_workers(onredis: Shop) -> None:
    printed = onredis.helm("test", NAME, "--logs", "--timeout=2m")
    assert "Every queue has a consumer: default, email, high_priority, thumbnails" in printed
