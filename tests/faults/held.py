"""What RabbitMQ holds back: dead letters, tasks that are due; and the mend of their runbooks."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.faults.strikes.field import Field, pod_of

COLUMNS = ("name", "messages", "messages_ready", "messages_unacknowledged", "leader")
#: A node is back within one of them, and its queues have led and moved what they held.
BRING_SECONDS = 120
LOOK_SECONDS = 5
LOOKS = 3


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


def stuck(looks: Sequence[Mapping[str, Held]]) -> dict[str, Held]:
    """Those of the last look that nobody moves: held at each of LOOKS, and never fewer.

    Where messages are being moved, some are on their way at any moment.
    """
    if len(looks) < LOOKS:
        return {}
    last = looks[-LOOKS:]
    return {
        name: now
        for name, now in last[-1].items()
        if all(name in look for look in last)
        and all(one[name].messages <= two[name].messages for one, two in pairwise(last))
    }


def bring(field: Field, queues: Mapping[str, Held]) -> None:
    """Restart the nodes that lead these queues; returns when they hold none, or in two minutes."""
    for leader in {each.leader for each in queues.values()}:
        field.shop.kubectl("delete", "pod", leader)
    deadline = time.monotonic() + BRING_SECONDS
    while time.monotonic() < deadline and queues.keys() & held(field).keys():
        time.sleep(LOOK_SECONDS)


def held(field: Field) -> dict[str, Held]:
    """What is held now."""
    return held_of(field.ask(field.broker(), "list_queues", *COLUMNS))
