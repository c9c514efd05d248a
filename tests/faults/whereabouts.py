"""Where the messages of tasks are that are not done: dead, in a queue, or with a worker."""

import json

from tests.cluster.shop import Shop

#: The messages of all queues but dead letters, taken and given back, and what workers have.
WAITING = """
from celery_runtime.app import app
from celery_runtime.queues import TaskQueue
names = [each.name for each in app.amqp.queues.values() if isinstance(each, TaskQueue)]
with app.connection_for_read() as connection, connection.channel() as channel:
    for name in names:
        while message := channel.basic_get(name):
            print(message.headers["id"])
found = app.control.inspect(timeout=5)
for told in (found.active(), found.reserved()):
    for tasks in (told or {}).values():
        for task in tasks:
            print(task["id"])
for tasks in (found.scheduled() or {}).values():
    for task in tasks:
        print(task["request"]["id"])
"""


def waiting(shop: Shop) -> set[str]:
    """The tasks whose messages are in their queues, or with a worker."""
    return set(_said(shop, "python", "-c", WAITING).split())


def dead_letters(shop: Shop) -> dict[str, str]:
    """The tasks whose messages died, and of what."""
    said = _said(shop, "celery", "-A", "celery_runtime.app", "dead-letter", "list", "--json")
    dead = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {each["id"]: each["reason"] for each in dead}


def _said(shop: Shop, *command: str) -> str:
    """Where the app is and no task; it may just be starting. Raises Problem."""
    shop.kubectl("rollout", "status", "deployment/jobs-beat", "--timeout=120s")
    return shop.exec("deploy/jobs-beat", *command)
