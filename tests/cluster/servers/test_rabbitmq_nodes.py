"""Three nodes of RabbitMQ: one grows to three, and no message is lost with one of them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ci.paths import ROOT
from ci.steps import Problem
from tests.cluster.shop import Shop, eventually

NAME = "trio"
BROKER = f"{NAME}-rabbitmq"
NODES = [f"{BROKER}-{node}" for node in range(3)]
SELECTOR = f"app.kubernetes.io/instance={NAME}"
MESSAGES = 250
CAP = {"vhost": "/", "name": "cap", "pattern": "^x", "definition": {"max-length": 10}}
DEFINITIONS = {"policies": [CAP]}
VALUES: dict[str, Any] = {
    "app": "shop.celery:app",
    "envFrom": [{"secretRef": {"name": "shop-database"}}],
    "queues": {"default": {}},
    # Nobody takes what is sent.
    "workers": {"main": {"queues": ["default"], "replicas": 0}},
    "exporter": {"enabled": False},
    "rabbitmq": {
        "storage": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "25m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
    },
    "resultBackend": {"mode": "existing", "host": "jobs-redis", "existingSecret": "jobs-redis"},
    "redis": {"enabled": False},
}
#: Each until it is confirmed, as a web application's user would try again.
SEND = """
import sys, time
from kombu.exceptions import OperationalError
from celery_runtime.app import app
for number in range(int(sys.argv[1])):
    while True:
        try:
            app.send_task("shop.tasks.nobody_takes", (number,), queue="default")
            break
        except OperationalError:
            time.sleep(0.5)
    # A node is to go meanwhile.
    time.sleep(0.02)
"""
COUNT = """
from celery_runtime.app import app
with app.connection_for_read() as connection, connection.channel() as channel:
    print(channel.queue_declare("default", passive=True).message_count)
"""


@pytest.fixture(scope="module")
def trio(shop: Shop) -> Iterator[Shop]:
    """A release whose RabbitMQ had one node when messages came, and has three since."""
    with shop.release(NAME, *shop.options(VALUES)):
        _send(shop, MESSAGES)
        _upgrade(shop, "rabbitmq.replicas=3")
        yield shop
    shop.kubectl("delete", "pvc,secret", f"--selector={SELECTOR}")


def test_a_single_node_grows_to_three_and_so_do_its_queues(trio: Shop) -> None:
    assert _running(trio) == 3
    eventually(
        lambda: len(_queue(trio)["members"]) == 3,
        within_seconds=90,
        what="three replicas",
        every_seconds=5,
    )
    assert _count(trio) == MESSAGES


def test_a_leader_that_is_killed_takes_no_message_with_it(trio: Shop) -> None:
    leader = _queue(trio)["leader"].removeprefix("rabbit@").partition(".")[0]
    before = _count(trio)
    with ThreadPoolExecutor() as beside:
        sending = beside.submit(_send, trio, MESSAGES)
        eventually(lambda: _count(trio) > before, within_seconds=60, what="messages come")
        trio.kubectl("delete", "pod", leader, "--grace-period=0", "--force")
        sending.result()
    # One whose confirmation was lost is there twice.
    assert _count(trio) >= before + MESSAGES
    eventually(lambda: _is_whole(trio), within_seconds=120, what="three nodes again")


def test_two_nodes_cannot_be_evicted_at_once(trio: Shop) -> None:
    before = _count(trio)
    eventually(lambda: _may_be_evicted(trio) == 1, within_seconds=60, what="one may go")
    assert trio.evict(NODES[1])
    assert not trio.evict(NODES[2])
    assert _count(trio) == before
    trio.kubectl("wait", "--for=delete", f"pod/{NODES[1]}", "--timeout=4m")
    eventually(lambda: _is_whole(trio), within_seconds=120, what="three nodes again")
    assert _count(trio) == before


def test_nodes_do_not_vanish_by_a_smaller_number(trio: Shop) -> None:
    with pytest.raises(Problem, match="replicas: 1, but 3 nodes hold the queues"):
        _upgrade(trio, "rabbitmq.replicas=1")


def test_they_go_over_to_tls_and_definitions_of_ones_own(trio: Shop) -> None:
    before = _count(trio)
    trio.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "trio-definitions"},
            "stringData": {"definitions.json": json.dumps(DEFINITIONS)},
        }
    )
    _upgrade(
        trio,
        "rabbitmq.replicas=3",
        "rabbitmq.tls.enabled=true",
        "rabbitmq.definitions.existingSecret=trio-definitions",
    )
    _send(trio, 1)
    assert _count(trio) == before + 1
    assert [policy["name"] for policy in _ctl(trio, "list_policies")] == ["cap"]
    assert [user["user"] for user in _ctl(trio, "list_users")] == ["celery"]


def test_an_uninstall_does_not_wait_for_a_majority_for_long(trio: Shop) -> None:
    trio.helm("uninstall", NAME)
    trio.kubectl("wait", "--for=delete", "pod", f"--selector={SELECTOR}", "--timeout=240s")


def _upgrade(shop: Shop, *values: str) -> None:
    options = [*shop.options(VALUES), *(f"--set={value}" for value in values)]
    shop.helm("upgrade", NAME, str(ROOT / "charts" / "celery"), *options, "--wait", "--timeout=5m")


def _python(shop: Shop, script: str, *arguments: str) -> str:
    return shop.exec(f"deploy/{NAME}-beat", "python", "-c", script, *arguments)


def _send(shop: Shop, messages: int) -> None:
    _python(shop, SEND, str(messages))


def _count(shop: Shop) -> int:
    return int(_python(shop, COUNT).split()[-1])


def _ctl(shop: Shop, *command: str) -> Any:  # noqa: ANN401
    ready = [pod for pod in NODES if pod in shop.pods(SELECTOR) and _is_ready(shop, pod)]
    tool = ("rabbitmqctl", *command, "--formatter=json", "--silent")
    return json.loads(shop.exec(ready[0], *tool, container="rabbitmq"))


def _is_ready(shop: Shop, pod: str) -> bool:
    status = shop.get("pod", pod)["status"]
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status["conditions"]
    )


def _running(shop: Shop) -> int:
    return len(_ctl(shop, "cluster_status")["running_nodes"])


def _is_whole(shop: Shop) -> bool:
    # rabbitmqctl, the second to be asked, is a second's work for a CPU.
    status = shop.get("statefulset", BROKER)["status"]
    return status.get("readyReplicas") == len(NODES) and _running(shop) == len(NODES)


def _queue(shop: Shop) -> Any:  # noqa: ANN401
    queues = _ctl(shop, "list_queues", "name", "leader", "members")
    return next(queue for queue in queues if queue["name"] == "default")


def _may_be_evicted(shop: Shop) -> Any:  # noqa: ANN401
    return shop.get("poddisruptionbudget", BROKER)["status"]["disruptionsAllowed"]
