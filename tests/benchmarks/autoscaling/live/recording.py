"""The pods of a group while they come and go, as Kubernetes tells of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.cluster.shop import Shop

LOOK_SECONDS = 1.0


@dataclass
class Life:
    """A pod from its creation to its end; moments are seconds since the epoch."""

    created: float
    ready: float | None = None
    gone: float | None = None

    def seconds(self, now: float) -> float:
        """How long it was paid for."""
        return (self.gone or now) - self.created


class Recorder:
    """Looks at the pods once a second."""

    def __init__(self, list_pods: Callable[[], list[dict[str, Any]]]) -> None:
        self._list_pods = list_pods
        self.lives: dict[str, Life] = {}

    def look(self, now: float) -> None:
        """Note who is there."""
        seen = {pod["metadata"]["name"]: pod for pod in self._list_pods()}
        for name, pod in seen.items():
            life = self.lives.setdefault(name, Life(_moment(pod["metadata"]["creationTimestamp"])))
            life.ready = life.ready or _ready(pod)
        for name, life in self.lives.items():
            if name not in seen and life.gone is None:
                life.gone = now

    def replica_seconds(self, now: float) -> float:
        """What all of them cost."""
        return sum(life.seconds(now) for life in self.lives.values())

    def start_seconds(self) -> list[float]:
        """From each pod's creation until it was ready."""
        return [life.ready - life.created for life in self.lives.values() if life.ready]


@contextmanager
def recording(shop: Shop, group: str) -> Iterator[Recorder]:
    """Look on until the end of the block."""
    selector = f"celery-worker-group={group}"
    recorder = Recorder(lambda: shop.all_pods(selector))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            recorder.look(time.time())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        over.set()
        thread.join()


def _ready(pod: dict[str, Any]) -> float | None:
    conditions = pod["status"].get("conditions", [])
    times = [
        _moment(condition["lastTransitionTime"])
        for condition in conditions
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]
    return times[0] if times else None


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
