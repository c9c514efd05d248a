"""What befalls RabbitMQ from within."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ci.demo import RELEASE
from tests.faults.strikes.field import BROKER, LASTING_SECONDS, Field, pod_of

AWAY_SECONDS = 150
#: More than any disk here has, in bytes.
ENDLESS = 10**15


def kill_leader(field: Field) -> None:
    """Kill the broker's node that leads a queue."""
    listed = field.ask(field.broker(), "list_queues", "name", "leader")
    leaders = {each["name"]: each["leader"] for each in listed}
    field.kill(pod_of(leaders["default"]))


def lose_broker_node(field: Field) -> None:
    """Kill a node of the broker, and have it back after minutes."""
    scale = ("scale", "statefulset", f"{RELEASE}-rabbitmq")
    all_of_them = len(field.shop.pods(BROKER))
    # First it is not wanted any more, or another would take its place.
    field.shop.kubectl(*scale, f"--replicas={all_of_them - 1}")
    try:
        field.kill(f"{RELEASE}-rabbitmq-{all_of_them - 1}")
        time.sleep(AWAY_SECONDS)
    finally:
        field.shop.kubectl(*scale, f"--replicas={all_of_them}")


def restart_broker(field: Field) -> None:
    """Kill all nodes of the broker."""
    field.kill(*field.shop.pods(BROKER))


def exhaust_memory(field: Field) -> None:
    """Let a node believe that it has no memory left: nobody may send."""
    node = field.broker()
    limit = field.status(node)["vm_memory_high_watermark_setting"]["absolute"]
    with _set(field, node, ("set_vm_memory_high_watermark", "absolute"), 1, limit):
        time.sleep(LASTING_SECONDS)


def fill_disk(field: Field) -> None:
    """Let a node believe that its disk is full: nobody may send."""
    node = field.broker()
    limit = field.status(node)["disk_free_limit"]
    with _set(field, node, ("set_disk_free_limit",), ENDLESS, limit):
        time.sleep(LASTING_SECONDS)


@contextmanager
def _set(
    field: Field, node: str, command: tuple[str, ...], value: int, usual: int
) -> Iterator[None]:
    field.rabbitmqctl(node, *command, str(value))
    try:
        yield
    finally:
        field.rabbitmqctl(node, *command, str(usual))
