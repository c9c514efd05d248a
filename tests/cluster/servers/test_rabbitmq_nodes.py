"""Nodes of RabbitMQ: one becomes three and these one again, and no message is lost with any."""

import json
import shlex
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
MACHINES = "--selector=kubernetes.io/os=linux"
README = ROOT / "charts" / "rabbitmq" / "README.md"
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
#: What each of these says to Prometheus of who it is.
IDENTITY = """
import sys, urllib.request
for host in sys.argv[1:]:
    with urllib.request.urlopen(f"http://{host}:15692/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    print(*(line for line in lines if line.startswith("rabbitmq_identity_info{")))
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
    _wait_for_members(trio, 3)
    assert _count(trio) == MESSAGES


def test_a_replica_that_no_node_came_with_is_made_too(trio: Shop) -> None:
    (member, *_) = {*(queue := _queue(trio))["members"]} - {queue["leader"]}
    pod = member.removeprefix("rabbit@").partition(".")[0]
    trio.exec(pod, "rabbitmq-queues", "delete_member", "default", member, container="rabbitmq")
    _wait_for_members(trio, 3)


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


def test_each_node_tells_prometheus_of_itself_in_the_clear_beside_tls(trio: Shop) -> None:
    hosts = [f"{node}.{BROKER}-nodes" for node in NODES]
    told = _python(trio, IDENTITY, *hosts).splitlines()
    for host, line in zip(hosts, told, strict=True):
        assert f'rabbitmq_node="rabbit@{host}.' in line


def test_a_node_that_lost_its_volume_comes_back_as_readme_says(trio: Shop) -> None:
    before = _count(trio)
    lost, claim = NODES[2], f"data-{NODES[2]}"
    volume = trio.get("pvc", claim)["spec"]["volumeName"]
    # As if its machine were gone: there is none for it.
    trio.kubectl("cordon", MACHINES)
    try:
        trio.kubectl("delete", "pod", lost, "--grace-period=1")
        eventually(
            lambda: _waiting(trio) == [lost],
            within_seconds=60,
            what="it waits for a machine",
        )
        for command in _readme("**A lost volume**"):
            trio.kubectl(*command)
    finally:
        trio.kubectl("uncordon", MACHINES)
    eventually(lambda: _is_whole(trio), within_seconds=150, what="three nodes again")
    assert trio.get("pvc", claim)["spec"]["volumeName"] != volume
    _wait_for_members(trio, 3)
    assert _count(trio) == before


def test_an_uninstall_waits_for_no_majority_for_long_and_an_install_finds_every_message(
    trio: Shop,
) -> None:
    before = _count(trio)
    trio.helm("uninstall", NAME)
    trio.kubectl("wait", "--for=delete", "pod", f"--selector={SELECTOR}", "--timeout=240s")
    _upgrade(trio, "rabbitmq.replicas=3")
    eventually(lambda: _is_whole(trio), within_seconds=120, what="three nodes again")
    assert _count(trio) == before


def test_nodes_leave_one_after_the_other_as_readme_says(trio: Shop) -> None:
    before = _count(trio)
    for left in (2, 1):
        _leave(trio, left)
        _wait_for_members(trio, left)
        assert _running(trio) == left
        assert _count(trio) == before
    _upgrade(trio, "rabbitmq.replicas=1")
    (member,) = _queue(trio)["members"]
    assert member.startswith(f"rabbit@{NODES[0]}.")
    _send(trio, 1)
    assert _count(trio) == before + 1


def _leave(shop: Shop, left: int) -> None:
    """Let the node of the highest number go, so that so many are left, by the README's commands."""
    shrink, *others = _readme(
        "**Fewer nodes.**",
        (f"{BROKER}-2", NODES[left]),
        ("--replicas=2", f"--replicas={left}"),
    )
    said = shop.kubectl(*shrink)
    rows = [row.split() for row in said.splitlines() if row.startswith("/")]
    answers = {queue: answer for _, queue, *_, answer in rows}
    assert answers["default"] == "ok"
    assert set(answers.values()) == {"ok"}, said
    for command in others:
        shop.kubectl(*command)
    shop.kubectl("wait", "--for=delete", f"pod/{NODES[left]}", "--timeout=4m")


def _readme(heading: str, *changes: tuple[str, str]) -> list[list[str]]:
    """Return what kubectl is given, command by command, in the first block after the heading."""
    block = README.read_text().partition(heading)[2].split("```\n")[1]
    for old, new in (("mq-rabbitmq", BROKER), *changes):
        assert old in block
        block = block.replace(old, new)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert {program for program, *_ in commands} == {"kubectl"}
    return [arguments for _, *arguments in commands]


def _upgrade(shop: Shop, *values: str) -> None:
    options = [*shop.options(VALUES), *(f"--set={value}" for value in values)]
    chart = str(ROOT / "charts" / "celery")
    shop.helm("upgrade", "--install", NAME, chart, *options, "--wait", "--timeout=5m")


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


def _waiting(shop: Shop) -> list[str]:
    pods = shop.all_pods(SELECTOR)
    return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Pending"]


def _is_whole(shop: Shop) -> bool:
    # rabbitmqctl, the second to be asked, is a second's work for a CPU.
    status = shop.get("statefulset", BROKER)["status"]
    return status.get("readyReplicas") == len(NODES) and _running(shop) == len(NODES)


def _queue(shop: Shop) -> Any:  # noqa: ANN401
    queues = _ctl(shop, "list_queues", "name", "leader", "members")
    return next(queue for queue in queues if queue["name"] == "default")


def _wait_for_members(shop: Shop, number: int) -> None:
    eventually(
        lambda: len(_queue(shop)["members"]) == number,
        within_seconds=90,
        what=f"{number} replicas",
        every_seconds=5,
    )


def _may_be_evicted(shop: Shop) -> Any:  # noqa: ANN401
    return shop.get("poddisruptionbudget", BROKER)["status"]["disruptionsAllowed"]
