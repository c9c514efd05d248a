"""Flower beside workers that send events, on every broker that has events."""

import json

import pytest

from tests.runtime.brokers.conftest import BROKERS_AND_POOLS, Shop
from tests.runtime.conftest import Mounted, Start, free_port, wait_until
from tests.runtime.flower import LOGIN, Flower


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
    port = free_port()
    service = celery(
        "flower",
        f"--port={port}",
        "--enable-events=False",
        "--conf=/dev/null",
        FLOWER_BASIC_AUTH=LOGIN,
    )
    flower = Flower(service, port)
    shop.worker(pool)
    sent = shop.send("resize_image", 1, 64)
    flower.wait_for("SUCCESS", sent.id)

    def is_shown() -> bool:
        # It asks the workers for a second, and shows what was answered until then.
        workers = json.loads(flower.ask("/api/workers?refresh=true", LOGIN)[1]).values()
        pools = [worker.get("stats", {}).get("pool", {}) for worker in workers]
        return [pool.get("max-concurrency") for pool in pools] == [2]

    wait_until(is_shown, "Flower shows the worker", seconds=20)
