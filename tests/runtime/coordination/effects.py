"""What the tasks of sharedapp leave, and what holds them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis

DEADLINE_SECONDS = 20


class Run(NamedTuple):
    """One run of a task."""

    at: float
    task_id: str
    retries: int
    processes: list[int]


@dataclass
class Effects:
    """The runs of each name, in a Redis."""

    url: str
    redis: Redis

    def runs(self, name: str) -> list[Run]:
        return [Run(*json.loads(run)) for run in self.redis.lrange(f"runs:{name}", 0, -1)]

    def all_runs(self) -> list[Run]:
        names = [str(key).removeprefix("runs:") for key in self.redis.keys("runs:*")]
        return [run for name in names for run in self.runs(name)]

    def wait_for_run(self, name: str) -> Run:
        wait(lambda: self.runs(name))
        return self.runs(name)[0]

    def hold(self, name: str) -> None:
        self.redis.set(f"hold:{name}", 1)

    def release(self, name: str) -> None:
        self.redis.delete(f"hold:{name}")


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
