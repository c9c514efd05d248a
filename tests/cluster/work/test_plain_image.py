"""`runtime: false`: the chart runs an image that knows nothing of this project."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster.shop import Shop

NAME = "plain"
GROUP = "main"
HOLD_SECONDS = 8
VALUES = {
    "app": "plain:app",
    "runtime": False,
    "queues": {"default": {}},
    "workers": {GROUP: {"queues": ["default"], "concurrency": 1, "maxTaskSeconds": 30}},
    "broker": {"kind": "redis"},
    "rabbitmq": {"enabled": False},
}
#: One runs, the others wait; returns when the first has started.
SEND = f"""
import time
from plain import app, hold
sent = [hold.apply_async(({HOLD_SECONDS},), queue="default") for _ in range(3)]
deadline = time.monotonic() + 60
while not (started := [each for each in sent if each.state == "STARTED"]):
    assert time.monotonic() < deadline, "no task has started"
    time.sleep(0.1)
print(*[each.id for each in started + [each for each in sent if each not in started]])
"""
COLLECT = """
import sys
from plain import app
print(*[app.AsyncResult(task).get(timeout=90) for task in sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def plain(shop: Shop) -> Iterator[Shop]:
    """Celery alone, on an embedded Redis."""
    repository, tag = os.environ["PLAIN_IMAGE"].rsplit(":", 1)
    options = shop.options(VALUES | {"image": {"repository": repository, "tag": tag}})
    with shop.release(NAME, *options):
        yield shop


def test_a_deleted_pod_finishes_its_task_and_leaves_the_rest_to_the_next(plain: Shop) -> None:
    (pod,) = plain.worker_pods(GROUP)
    tasks = _python(plain, SEND)
    plain.kubectl("delete", "pod", pod, "--wait=false")
    first, *others = _python(plain, COLLECT, *tasks)
    assert first == pod
    assert len(others) == 2
    assert pod not in others


def test_helm_test_prints_what_the_workers_consume(plain: Shop) -> None:
    printed = plain.helm("test", NAME, "--logs", "--timeout=2m")
    assert "Succeeded" in printed
    assert f"{GROUP}@{NAME}-worker-{GROUP}-" in printed


def _python(shop: Shop, script: str, *arguments: str) -> list[str]:
    """Run a script where the app is, in a pod that outlives the worker's; return its words."""
    return shop.exec(f"deploy/{NAME}-beat", "python", "-c", script, *arguments).split()
