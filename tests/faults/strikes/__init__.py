"""The faults, and which of them come when."""

import random
from collections.abc import Sequence

from tests.faults.strikes.broker import (
    exhaust_memory,
    fill_disk,
    kill_leader,
    lose_broker_node,
    restart_broker,
)
from tests.faults.strikes.field import Fault, Field
from tests.faults.strikes.machine import drain_node, set_clock
from tests.faults.strikes.network import (
    cut_off_broker_node,
    lose_packets,
    part_broker_nodes,
    slow_network,
)
from tests.faults.strikes.pods import (
    delete_worker,
    kill_beat,
    kill_exporter,
    kill_keda,
    kill_redis,
    kill_worker,
    upgrade,
)

__all__ = ["ALL", "CLIENTS", "SERVERS", "SHORT", "Fault", "Field", "nothing", "plan"]

#: Ten of those that need one machine and nobody who scales, and take less than a minute.
SHORT: Sequence[Fault] = (
    kill_worker,
    kill_leader,
    restart_broker,
    fill_disk,
    cut_off_broker_node,
    lose_packets,
    slow_network,
    kill_redis,
    kill_beat,
    upgrade,
)
#: What befalls servers and the ways to them, and what befalls those whom they serve: none of the
#: ones takes away what one of the others is about to hit.
SERVERS: Sequence[Fault] = (
    kill_leader,
    restart_broker,
    lose_broker_node,
    exhaust_memory,
    fill_disk,
    cut_off_broker_node,
    part_broker_nodes,
    lose_packets,
    slow_network,
    kill_redis,
)
CLIENTS: Sequence[Fault] = (
    delete_worker,
    kill_worker,
    kill_beat,
    kill_exporter,
    kill_keda,
    upgrade,
    set_clock,
)
#: In this order: it decides what a seed chooses. A machine that is drained takes no server back
#: whose volume is on it, so that comes alone.
ALL: Sequence[Fault] = (*SERVERS, *CLIENTS, drain_node)
#: Of what comes after each has come alone: how much of it is two at once.
TOGETHER = 1 / 3


def nothing(_: Field) -> None:
    """What the others are compared with."""


def plan(seed: int, count: int, faults: Sequence[Fault]) -> list[tuple[Fault, ...]]:
    """Each of them once, alone, by chance which comes when, and then whichever chance takes.

    Of those some come two at once, which are two of the count.
    """
    chance = random.Random(seed)  # noqa: S311 # nothing is secret
    once = chance.sample(faults, min(count, len(faults)))
    planned: list[tuple[Fault, ...]] = [(fault,) for fault in once]
    left = count - len(once)
    sides = [[each for each in side if each in faults] for side in (SERVERS, CLIENTS)]
    while left:
        pair = left > 1 and all(sides) and chance.random() < TOGETHER
        chosen = tuple(map(chance.choice, sides)) if pair else (chance.choice(faults),)
        planned.append(chosen)
        left -= len(chosen)
    return planned
