"""Dead letters that RabbitMQ holds back, and the mend of CeleryDeadLettersHeld's runbook."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.faults.strikes.field import Field, pod_of

COLUMNS = ("name", "messages", "messages_ready", "messages_unacknowledged", "leader")
#: A node is back within one of them, and its queues have led and moved what they held.
BRING_SECONDS = 120
LOOK_SECONDS = 5


class Held(NamedTuple):
    """How many messages a queue holds that died in it, and the pod of the node that leads it."""

    messages: int
    leader: str


def held_of(queues: Iterable[Mapping[str, Any]]) -> dict[str, Held]:
    """By queue, from what `list_queues` tells of COLUMNS: all that no consumer can have or has."""
    found = {}
    for queue in queues:
        name, messages, ready, unacked, leader = map(queue.__getitem__, COLUMNS)
        if held := messages - ready - unacked:
            found[name] = Held(held, pod_of(leader))
    return found


def bring(field: Field) -> dict[str, int]:
    """Restart the nodes that lead queues which hold dead letters; how many there were of each.

    Returns when they have come, or after two minutes.
    """
    found = _held(field)
    for leader in {each.leader for each in found.values()}:
        field.shop.kubectl("delete", "pod", leader)
    deadline = time.monotonic() + BRING_SECONDS
    while found and time.monotonic() < deadline and _held(field):
        time.sleep(LOOK_SECONDS)
    return {name: each.messages for name, each in found.items()}


def _held(field: Field) -> dict[str, Held]:
    return held_of(field.ask(field.broker(), "list_queues", *COLUMNS))
