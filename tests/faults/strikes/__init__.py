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

__all__ = ["ALL", "SHORT", "Fault", "Field", "nothing", "plan"]

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
#: In this order: it decides what a seed chooses.
ALL: Sequence[Fault] = (
    delete_worker,
    kill_worker,
    kill_leader,
    restart_broker,
    exhaust_memory,
    fill_disk,
    cut_off_broker_node,
    lose_packets,
    slow_network,
    kill_redis,
    kill_beat,
    kill_exporter,
    upgrade,
    part_broker_nodes,
    lose_broker_node,
    kill_keda,
    drain_node,
    set_clock,
)


def nothing(_: Field) -> None:
    """What the others are compared with."""


def plan(seed: int, count: int, faults: Sequence[Fault]) -> list[Fault]:
    """Each of them once, by chance which comes when, and then whichever chance takes."""
    chance = random.Random(seed)  # noqa: S311 # nothing is secret
    once = chance.sample(faults, min(count, len(faults)))
    return [*once, *chance.choices(faults, k=count - len(once))]
