"""Time that stands still and a worker that does as it is told."""

from collections.abc import Callable


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Worker:
    """A worker's process and its consumer, as the tests want them."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.is_draining = False
        self.tasks = 0
        self.is_held_up = False
        self.has_free_slots = True

    def turn(self) -> None:
        while self.callbacks:
            self.callbacks.pop()()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def held_up(self) -> bool:
        return self.is_held_up

    def slots_free(self) -> bool:
        return self.has_free_slots

    def draining(self) -> bool:
        return self.is_draining

    def running(self) -> int:
        return self.tasks
