"""Where faults happen, and what chance decides.

A fault that hits nothing raises Problem: it is not counted as one that was survived.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ci import cluster
from ci.demo import RELEASE
from ci.steps import Problem
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop, eventually

#: Breaks something of the field, and is over when it returns.
Fault = Callable[["Field"], None]
OWN = f"app.kubernetes.io/instance={RELEASE}"
BROKER = f"{OWN},app.kubernetes.io/name=rabbitmq"
WORKERS = f"{OWN},app.kubernetes.io/component=worker"
BEAT = f"{OWN},app.kubernetes.io/component=beat"
EXPORTER = f"{OWN},app.kubernetes.io/component=exporter"
RABBITMQCTL = ("rabbitmqctl", "--silent")
#: How long what does not end by itself lasts.
LASTING_SECONDS = 20
#: For rules of iptables that last as long as a fault.
CHAIN = "FAULTS"


@dataclass(frozen=True)
class Field:
    """The release that is struck, and the chance that chooses among its pods."""

    shop: Shop
    chance: random.Random
    #: Sends many tasks at once.
    burst: Callable[[], None]

    def pod(self, selector: str) -> str:
        """Choose one of the pods with these labels, once there is one."""
        ask = partial(self.shop.pods, selector)
        return self.chance.choice(sorted(eventually(ask, within_seconds=120, what=selector)))

    def kill(self, *pods: str, namespace: str = "") -> None:
        """End all processes of pods by SIGKILL, and let others take their place.

        Kubernetes alone would send SIGTERM and wait for 2 s, however little grace it is given.
        """
        where = [f"--namespace={namespace}"] if namespace else []
        told = self.shop.get("pods", *where)["items"]
        containers = [
            state["containerID"].partition("://")[2]
            for pod in told
            if pod["metadata"]["name"] in pods
            for state in pod["status"].get("containerStatuses", [])
            if state.get("containerID")
        ]
        if not containers or not self.nodes().run(_killing(containers)).split():
            raise Problem(f"no process of {', '.join(pods)} was there to kill")
        self.shop.kubectl(*where, "delete", "pod", *pods, "--grace-period=0", "--force")

    @contextmanager
    def rules(
        self, lines: list[str], *, hook: str = "FORWARD", table: str = "filter"
    ) -> Iterator[None]:
        """Have rules of iptables on every machine; raises Problem if no packet came by them."""
        nodes = self.nodes()
        nodes.fill(lines, CHAIN, table=table)
        with nodes.first(CHAIN, hook=hook, table=table):
            yield
            hit = nodes.packets(CHAIN, table=table)
        if not hit:
            raise Problem(f"no packet came by {lines}")

    def broker(self) -> str:
        """Choose one of the broker's nodes that run."""
        return self.chance.choice(self.brokers())

    def brokers(self) -> list[str]:
        """All of the broker's nodes that run, once there is one."""

        def answering() -> list[str]:
            pods = self.shop.all_pods(BROKER)
            return sorted(pod["metadata"]["name"] for pod in pods if _is_ready(pod))

        return eventually(answering, within_seconds=180, what="a broker's node")

    def rabbitmqctl(self, pod: str, *arguments: str) -> None:
        """Run a command on a node of the broker."""
        self.shop.exec(pod, *RABBITMQCTL, *arguments, container="rabbitmq")

    def ask(self, pod: str, *arguments: str) -> Any:  # noqa: ANN401 # JSON
        """Return what a command on a node of the broker tells."""
        command = (*RABBITMQCTL, *arguments, "--formatter=json")
        return json.loads(self.shop.exec(pod, *command, container="rabbitmq"))

    def status(self, broker: str) -> dict[str, Any]:
        """Return what a node of the broker tells of itself."""
        told: dict[str, Any] = self.ask(broker, "status")
        return told

    def address(self, pod: str) -> str:
        """Return a pod's address; empty of one that has none yet."""
        status: Any = self.shop.get("pod", pod)["status"]
        return str(status.get("podIP", ""))

    def nodes(self) -> Nodes:
        """Return the machines."""
        return Nodes(cluster.current())


def _killing(containers: list[str]) -> str:
    """A script that ends the processes of containers, and prints their numbers."""
    files = f"grep -lE '{'|'.join(containers)}' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3"
    return f'pids=$({files}); echo $pids; [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true'


def pod_of(node: str) -> str:
    """The pod of a node of the broker, from the name that RabbitMQ has for it."""
    return node.removeprefix("rabbit@").partition(".")[0]


def _is_ready(pod: dict[str, Any]) -> bool:
    states = pod["status"].get("containerStatuses", [])
    return bool(states) and all(state["ready"] for state in states)
