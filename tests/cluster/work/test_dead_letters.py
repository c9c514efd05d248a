"""Dead messages, looked at and put back from a pod."""

import json
from typing import Any

from ci.demo import RELEASE
from tests.cluster.shop import Shop, eventually

POD = f"deploy/{RELEASE}-worker-io"
SEND = """
from celery_runtime.app import app
print(app.send_task("shop.tasks.of_a_later_version", queue="email").id)
"""


def dead(shop: Shop) -> list[dict[str, Any]]:
    printed = command(shop, "list", "--json", "--queue=email")
    return [json.loads(line) for line in printed.splitlines()]


def command(shop: Shop, *arguments: str) -> str:
    return shop.exec(POD, "celery", "dead-letter", *arguments)


def test_a_task_that_no_worker_knows_is_found_put_back_and_thrown_away(shop: Shop) -> None:
    id_ = shop.exec(POD, "python", "-c", SEND).strip()
    (found,) = eventually(lambda: dead(shop), within_seconds=60, what="a dead message")
    assert (found["id"], found["reason"], found["queue"]) == (id_, "unknown_task", "email")
    command(shop, "replay", id_)
    again = eventually(
        lambda: [message for message in dead(shop) if message["deaths"] == 2],
        within_seconds=60,
        what="it is dead again, because its worker still does not know it",
    )
    assert [message["id"] for message in again] == [id_]
    command(shop, "purge", "--all")
    assert dead(shop) == []
