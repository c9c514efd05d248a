"""What the runtime adds to tasks that do something, beside Celery in the very same settings.

The last part of `make bench-workers`, twenty minutes of it; by itself it is `python -m ci exec
--brokers python -m tests.benchmarks.workers.overhead`. Two workers of Celery's own and one of the
runtime are there at once, each on a queue of its own, and take turns of a second: what else the
machine does meets them all. What the two of a kind differ by is noise. The table is kept beside
this file.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from celery_runtime.queues import TaskQueue
from celery_runtime.settings import configuration
from tests.benchmarks.probes import machine, mount
from tests.benchmarks.sources import broker
from tests.benchmarks.workers.variants import (
    CONCURRENCY,
    QUIET,
    Variant,
    Worker,
    producer,
    working,
)
from tests.runtime.brokers import servers
from tests.runtime.processes import family, freeze, thaw

RESULTS = Path(__file__).with_name("overhead.txt")
GOAL_PERCENT = 3
#: In each, other processes. That five lie on one side of the goal is chance one time in sixteen.
ROUNDS = 5
TURNS = 6
#: Not measured: modules are loaded, and processes get to know their work.
WARM_UP_TASKS = 100
#: For the acknowledgement of the last task.
REST_SECONDS = 0.1
#: As the chart starts workers: the last --loglevel counts.
OPTIONS = (*QUIET, "--loglevel=info")
BARE, TWIN, SHIPPED = "bare", "bare-again", "shipped"


@dataclass(frozen=True)
class Work:
    """What each of the tasks does, and how many of them a worker has to do for about a second."""

    name: str
    task: str
    seconds: float
    tasks: Mapping[str, int]


WORKS = (
    Work("computes 5 ms", "bench.compute", 0.005, {"prefork": 400, "gevent": 200}),
    Work("computes 50 ms", "bench.compute", 0.05, {"prefork": 40, "gevent": 20}),
    Work("waits 5 ms", "bench.wait", 0.005, {"prefork": 400, "gevent": 2000}),
)


@dataclass(frozen=True)
class Cost:
    """What a task costs on the average of a turn."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Side:
    """A worker, and who sends to it."""

    worker: Worker
    send: Callable[[Work], object]

    def turn(self, work: Work, tasks: int) -> Cost:
        """Have so many tasks done, which wait in the queue until all are sent."""
        processes = family(self.worker.process.pid)
        before, cpu = len(self.worker.notes_seconds()), self.worker.cpu_seconds()
        freeze(*processes)
        try:
            for _ in range(tasks):
                self.send(work)
        finally:
            thaw(*processes)
        self.worker.wait_for(before + tasks)
        time.sleep(work.seconds + REST_SECONDS)
        cpu = self.worker.cpu_seconds() - cpu
        began = [at for _, at in self.worker.notes_seconds()[before:]]
        # From the first to the last, whether two processes begin together would count for a task.
        slope, _ = statistics.linear_regression(range(tasks), began)
        return Cost(1000 * slope, 1000 * cpu / tasks)


Turn = Mapping[str, Cost]
FIGURES: dict[str, Callable[[Cost], float]] = {
    "time": lambda cost: cost.wall_ms,
    "CPU": lambda cost: cost.cpu_ms,
}


def main() -> None:
    """Measure, print and keep."""
    console = Console(width=120, record=True, color_system=None)
    console.print(machine())
    with TemporaryDirectory() as folder, broker("RabbitMQ", Path(folder)) as server:
        rounds = {
            (pool, work.name): [measured(pool, work, server, number) for number in range(ROUNDS)]
            for pool in CONCURRENCY
            for work in WORKS
        }
    console.print(table(rounds))
    console.print(
        "RabbitMQ; time is from the beginning of a task to that of the next, whichever process has"
        f" it. Medians of {ROUNDS} rounds (least to most), each the median of {TURNS} turns; noise"
        f" is what another bare worker differs by; load {os.getloadavg()[0]:.1f}."
    )
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))


def measured(pool: str, work: Work, server: servers.Container, number: int) -> Sequence[Turn]:
    """The turns of a round."""
    turns: list[Turn] = []
    with workers(pool, work, server) as sides:
        for turn in range(TURNS):
            # Whoever comes first finds the machine as the last one left it.
            names = list(sides)[:: -1 if (number + turn) % 2 else 1]
            turns.append({name: sides[name].turn(work, work.tasks[pool]) for name in names})
    return turns


@contextmanager
def workers(pool: str, work: Work, server: servers.Container) -> Iterator[dict[str, Side]]:
    """The three, warm."""
    with ExitStack() as stack:
        sides = {}
        for name in (BARE, SHIPPED, TWIN):
            folder = Path(stack.enter_context(TemporaryDirectory()))
            sides[name] = stack.enter_context(side(name, pool, server, folder))
        for each in sides.values():
            each.turn(work, min(WARM_UP_TASKS, work.tasks[pool]))
        yield sides


@contextmanager
def side(name: str, pool: str, server: servers.Container, folder: Path) -> Iterator[Side]:
    """One worker, and who sends to it."""
    options = (*OPTIONS, f"--hostname={name}@%h")
    variant = (
        Variant(name, options=options, runtime=True)
        if name == SHIPPED
        else Variant(name, bare_settings(name, server, folder), options)
    )
    app = producer(variant, server, folder)

    def send(work: Work) -> None:
        arguments = (time.time(), work.seconds)
        app.send_task(work.task, arguments, queue=variant.queue, ignore_result=True)

    send(WORKS[0])  # a worker's start ends with its first task
    with working(variant, pool, server, folder) as worker:
        yield Side(worker, send)
    app.close()


def bare_settings(queue: str, server: servers.Container, folder: Path) -> dict[str, Any]:
    """What the runtime makes of the mounted settings, but for its consumer."""
    mount(server, folder)
    file = folder / "settings.json"
    document = json.loads(file.read_text()) | {"defaultQueue": queue, "queues": {queue: {}}}
    file.write_text(json.dumps(document))
    settings = configuration.load(folder) or {}
    del settings["worker_consumer"]
    return {**settings, "task_queues": {each.name: plain(each) for each in settings["task_queues"]}}


def plain(queue: TaskQueue) -> dict[str, Any]:
    """A queue as Celery takes it from who has no class for it."""
    return {
        "exchange": queue.exchange.name,
        "exchange_type": queue.exchange.type,
        "routing_key": queue.routing_key,
        "durable": queue.durable,
        "queue_arguments": queue.queue_arguments,
        "consumer_arguments": queue.consumer_arguments,
    }


def table(rounds: Mapping[tuple[str, str], Sequence[Sequence[Turn]]]) -> Table:
    """One line for each pool and work."""
    made = Table(box=box.MARKDOWN)
    for title in ("pool", "a task", ""):
        made.add_column(title)
    for title in ("bare", "the runtime's", "noise", f"under {GOAL_PERCENT} %"):
        made.add_column(title, justify="right")
    for (pool, work), turns in rounds.items():
        for title, figure in FIGURES.items():
            bare_ms = statistics.median(figure(turn[BARE]) for each in turns for turn in each)
            percents = more(turns, SHIPPED, figure)
            made.add_row(
                *(pool, work, title, f"{bare_ms:.2f} ms"),
                *(spread(percents), spread(more(turns, TWIN, figure)), verdict(percents)),
            )
    return made


def more(
    rounds: Sequence[Sequence[Turn]], name: str, figure: Callable[[Cost], float]
) -> list[float]:
    """By how many percent one costs more than the bare worker: each round's median, in order."""
    return sorted(
        statistics.median(100 * (figure(turn[name]) / figure(turn[BARE]) - 1) for turn in turns)
        for turns in rounds
    )


def spread(percents: Sequence[float]) -> str:
    """The median, and from where to where."""
    return f"{statistics.median(percents):+.1f} % ({percents[0]:+.1f} to {percents[-1]:+.1f})"


def verdict(percents: Sequence[float]) -> str:
    """Whether every round keeps the goal, or none."""
    kept = {percent < GOAL_PERCENT for percent in percents}
    return "open" if len(kept) > 1 else "kept" if kept.pop() else "missed"


if __name__ == "__main__":
    main()
