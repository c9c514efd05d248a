"""Redis as broker, by the overlay: nothing of RabbitMQ is there, and work is done."""

from collections.abc import Iterator

import pytest

from tests.cluster.shop import ON_REDIS, Shop

SEND = """
from celery_runtime.app import app
print(app.send_task("celery.accumulate", ("paid", "sent"), queue="email").get(timeout=30))
"""


@pytest.fixture(scope="module")
def onredis(shop: Shop) -> Iterator[Shop]:
    """The demonstration without RabbitMQ."""
    with shop.on_redis({}):
        yield shop


def test_it_runs_without_rabbitmq(onredis: Shop) -> None:
    pods = onredis.all_pods(f"app.kubernetes.io/instance={ON_REDIS}")
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods}
    assert parts == {"celery", "redis"}


def test_a_task_is_done_and_its_result_comes_back(onredis: Shop) -> None:
    printed = onredis.exec(f"deploy/{ON_REDIS}-worker-io", "python", "-c", SEND)
    assert printed.split() == ["['paid',", "'sent']"]


def test_helm_test_asks_the_workers(onredis: Shop) -> None:
    printed = onredis.helm("test", ON_REDIS, "--logs", "--timeout=2m")
    assert "Every queue has a consumer: default, email, high_priority, thumbnails" in printed
