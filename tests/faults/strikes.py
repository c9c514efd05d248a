"""The faults: each breaks something, and is over when it returns."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ci import cluster, keda
from ci.demo import RELEASE
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop, eventually

BROKER = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=rabbitmq"
WORKERS = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=worker"
#: How long what does not end by itself lasts.
LASTING_SECONDS = 20
#: More than a heartbeat's time, so that nodes and clients give each other up.
PARTITION_SECONDS = 45
LOSS = 0.2
CHAIN = "FAULTS"


@dataclass(frozen=True)
class Field:
    """Where it happens, and what chance decides."""

    shop: Shop
    chance: random.Random

    def pod(self, selector: str) -> str:
        """Choose one of the pods with these labels, once there is one."""
        ask = partial(self.shop.pods, selector)
        return self.chance.choice(sorted(eventually(ask, within_seconds=120, what=selector)))

    def kill(self, *pods: str) -> None:
        """End pods at once, as when their machine is gone."""
        self.shop.kubectl("delete", "pod", *pods, "--grace-period=0", "--force")

    def node(self) -> str:
        """Choose one of the broker's nodes that run."""

        def answering() -> list[str]:
            pods = self.shop.get("pods", f"--selector={BROKER}")["items"]
            return sorted(pod["metadata"]["name"] for pod in pods if _is_ready(pod))

        return self.chance.choice(eventually(answering, within_seconds=180, what="a broker's node"))

    def rabbitmqctl(self, pod: str, *arguments: str) -> str:
        """Return what a command on a node of the broker prints."""
        command = ("exec", pod, "--container=rabbitmq", "--", "rabbitmqctl", "--silent")
        return self.shop.kubectl(*command, *arguments)


def delete_worker(field: Field) -> None:
    """Delete a worker's pod, as a node that is drained does."""
    field.shop.kubectl("delete", "pod", field.pod(WORKERS), "--wait=false")


def kill_worker(field: Field) -> None:
    """Kill a worker's pod."""
    field.kill(field.pod(WORKERS))


def kill_leader(field: Field) -> None:
    """Kill the broker's node that leads a queue."""
    listed = field.rabbitmqctl(field.node(), "list_queues", "name", "leader", "--formatter=json")
    leaders = {each["name"]: each["leader"] for each in json.loads(listed)}
    field.kill(leaders["default"].removeprefix("rabbit@").partition(".")[0])


def restart_broker(field: Field) -> None:
    """Kill all nodes of the broker."""
    field.kill(*field.shop.pods(BROKER))


def cut_off_broker_node(field: Field) -> None:
    """Let a node of the broker hear nothing of anybody for a while."""
    address = _address(field, field.node())
    with _rules([f"--source {address} -j DROP", f"--destination {address} -j DROP"]):
        time.sleep(PARTITION_SECONDS)


def lose_packets(field: Field) -> None:
    """Lose a part of what workers and the broker tell each other."""
    some = f"-p tcp -m statistic --mode random --probability {LOSS} -j DROP"
    pods = field.shop.pods(WORKERS)
    ends = [end for pod in pods if (end := _address(field, pod))]
    with _rules([f"{side} {end} {some}" for end in ends for side in ("--source", "--destination")]):
        time.sleep(LASTING_SECONDS)


def raise_alarm(field: Field) -> None:
    """Let the broker take no message for want of memory."""
    node = field.node()
    status = json.loads(field.rabbitmqctl(node, "status", "--formatter=json"))
    limit = status["vm_memory_high_watermark_setting"]["absolute"]
    field.rabbitmqctl(node, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        time.sleep(LASTING_SECONDS)
    finally:
        field.rabbitmqctl(node, "set_vm_memory_high_watermark", "absolute", str(limit))


def kill_redis(field: Field) -> None:
    """Kill the store of results."""
    field.kill(f"{RELEASE}-redis-0")


def kill_beat(field: Field) -> None:
    """Kill beat."""
    field.kill(field.pod(f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=beat"))


def kill_exporter(field: Field) -> None:
    """Kill who counts."""
    field.kill(
        field.pod(f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=exporter")
    )


def kill_keda(field: Field) -> None:
    """Kill who scales, in whatever the queues are at."""
    operator = ("delete", "pod", f"--selector=app={keda.OPERATOR}", "--grace-period=0", "--force")
    field.shop.kubectl(f"--namespace={keda.NAMESPACE}", *operator)


def upgrade(field: Field) -> None:
    """Replace every worker and beat by an upgrade of the chart."""
    mark = field.chance.randrange(10**9)
    field.shop.upgrade(f"workerDefaults.podAnnotations.round=r{mark}")


Fault = Callable[[Field], None]
FAULTS: Sequence[Fault] = (
    delete_worker,
    kill_worker,
    kill_leader,
    restart_broker,
    cut_off_broker_node,
    lose_packets,
    raise_alarm,
    kill_redis,
    kill_beat,
    kill_exporter,
    upgrade,
)


def plan(seed: int, count: int, faults: Sequence[Fault]) -> list[Fault]:
    """Each of them once, by chance which comes when, and then whichever chance takes."""
    chance = random.Random(seed)  # noqa: S311 # nothing is secret
    once = chance.sample(faults, min(count, len(faults)))
    return [*once, *chance.choices(faults, k=count - len(once))]


@contextmanager
def _rules(matches: Sequence[str]) -> Iterator[None]:
    nodes = Nodes(cluster.current())
    released = f"while iptables -D FORWARD -j {CHAIN} 2>/dev/null; do :; done"
    lines = ["*filter", f":{CHAIN} - [0:0]", *(f"-A {CHAIN} {match}" for match in matches)]
    nodes.run("iptables-restore --noflush", "\n".join([*lines, "COMMIT", ""]))
    nodes.run(f"{released}; iptables -I FORWARD -j {CHAIN}")
    try:
        yield
    finally:
        nodes.run(released)


def _is_ready(pod: dict[str, Any]) -> bool:
    states = pod["status"].get("containerStatuses", [])
    return bool(states) and all(state["ready"] for state in states)


def _address(field: Field, pod: str) -> str:
    status: Any = field.shop.get("pod", pod)["status"]
    return str(status.get("podIP", ""))
