"""Flower beside workers that send events, on every broker that has events."""

import json
import time

import pytest

from tests.runtime.brokers.conftest import BROKERS_AND_POOLS, OpenShop, Shop
from tests.runtime.brokers.proxy import proxy
from tests.runtime.brokers.servers import Container
from tests.runtime.conftest import Mounted, Start, free_port, wait_until
from tests.runtime.flower import LOGIN, Flower

#: Flower's own attempts take 6 seconds each and begin after 8, 18, 32 and 54.
AWAY_SECONDS = 39
BLIND_SECONDS = 7


@pytest.mark.parametrize(
    ("broker", "pool"),
    [(broker, pool) for broker, pool in BROKERS_AND_POOLS if broker != "sqs"],
    indirect=["broker"],
)
def test_flower_shows_a_task_and_its_worker(
    shop: Shop, mounted: Mounted, celery: Start, pool: str
) -> None:
    mounted.settings.setdefault("config", {})["worker_send_task_events"] = True
    mounted.write()
    flower = start(celery)
    shop.worker(pool)
    sent = shop.send("resize_image", 1, 64)
    flower.wait_for("SUCCESS", sent.id)

    def is_shown() -> bool:
        # It asks the workers for a second, and shows what was answered until then.
        workers = json.loads(flower.ask("/api/workers?refresh=true", LOGIN)[1]).values()
        pools = [worker.get("stats", {}).get("pool", {}) for worker in workers]
        return [pool.get("max-concurrency") for pool in pools] == [2]

    wait_until(is_shown, "Flower shows the worker", seconds=20)


def test_flower_sees_what_is_sent_seconds_after_its_broker_is_there(
    rabbitmq: Container, mounted: Mounted, celery: Start, open_shop: OpenShop
) -> None:
    port = free_port()
    mounted.settings["broker"]["port"] = port
    mounted.settings["config"] = {"task_send_sent_event": True}
    mounted.write()
    flower = start(celery)
    time.sleep(AWAY_SECONDS)
    with proxy(int(rabbitmq.settings["port"]), port):
        time.sleep(BLIND_SECONDS)
        sent = open_shop(mounted, rabbitmq).send("resize_image", 1, 64)
        flower.wait_for("PENDING", sent.id)


def start(celery: Start) -> Flower:
    """Flower with the command line of the chart."""
    port = free_port()
    options = (f"--port={port}", "--enable-events=False", "--conf=/dev/null")
    return Flower(celery("flower", *options, FLOWER_BASIC_AUTH=LOGIN), port)
