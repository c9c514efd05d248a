"""The faults, and which of them come when."""

import random
from collections.abc import Sequence

from tests.faults.strikes.broker import exhaust_memory, fill_disk, kill_leader, restart_broker
from tests.faults.strikes.field import Fault, Field
from tests.faults.strikes.machine import drain_node, set_clock
from tests.faults.strikes.network import cut_off_broker_node, lose_packets, slow_network
from tests.faults.strikes.pods import (
    delete_worker,
    kill_beat,
    kill_exporter,
    kill_keda,
    kill_redis,
    kill_worker,
    upgrade,
)

__all__ = ["ALL", "ANYWHERE", "Fault", "Field", "plan"]

#: Those that need one machine, and nobody who scales.
ANYWHERE: Sequence[Fault] = (
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
)
ALL = (*ANYWHERE, kill_keda, drain_node, set_clock)


def plan(seed: int, count: int, faults: Sequence[Fault]) -> list[Fault]:
    """Each of them once, by chance which comes when, and then whichever chance takes."""
    chance = random.Random(seed)  # noqa: S311 # nothing is secret
    once = chance.sample(faults, min(count, len(faults)))
    return [*once, *chance.choices(faults, k=count - len(once))]
