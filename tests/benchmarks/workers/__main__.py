"""What a worker does in a second, and what it costs, in the settings that people run it with.

Run by `make bench-workers`, on a RabbitMQ and a Redis of its own, in a quarter of an hour. The
variants come in turns, so that what the machine does besides meets all of them. Tables and plot are
kept beside this file. Then come tasks that do something: overhead.py.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.probes import machine
from tests.benchmarks.sources import broker
from tests.benchmarks.workers import overhead
from tests.benchmarks.workers.plot import draw
from tests.benchmarks.workers.variants import (
    CONCURRENCY,
    VARIANTS,
    Variant,
    Worker,
    producer,
    working,
)
from tests.runtime.brokers import servers

RESULTS = Path(__file__).with_name("results.txt")
PLOT = Path(__file__).with_name("results.png")
BROKERS = ("RabbitMQ", "Redis")
ROUNDS = 3
TASKS = 3000
#: Not measured: connections are made, and modules loaded.
WARM_UP_TASKS = 100
#: Who is not done by then is measured by what it did.
MOST_SECONDS = 15
PACED_TASKS = 100
PACE_SECONDS = 0.02
#: For what a start leaves to be done.
REST_SECONDS = 2


@dataclass(frozen=True)
class Figures:
    """What came of a variant, in one round or as the median of all."""

    tasks_per_second: float
    cpu_ms: float
    median_ms: float
    slow_ms: float
    start_seconds: float
    idle_mib: float
    busy_mib: float


def main() -> None:
    """Measure, print and keep."""
    console = Console(width=120, record=True, color_system=None)
    console.print(machine())
    medians: dict[tuple[str, str], dict[str, Figures]] = {}
    for name in BROKERS:
        with TemporaryDirectory() as folder, broker(name, Path(folder)) as server:
            for pool in CONCURRENCY:
                medians[name, pool] = measured(pool, server, Path(folder))
                console.print(f"{name}, {pool}, concurrency {CONCURRENCY[pool]}:\n")
                console.print(table(medians[name, pool]))
    console.print(f"Medians of {ROUNDS} rounds of {TASKS:,} tasks; load {os.getloadavg()[0]:.1f}.")
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))
    draw(PLOT, medians)
    overhead.main()


def measured(pool: str, server: servers.Container, folder: Path) -> dict[str, Figures]:
    """Every variant's median."""
    rounds: list[dict[str, Figures]] = []
    for number in range(ROUNDS):
        # Whoever comes first finds the machine as the last one left it: each does once.
        turn = VARIANTS[number % len(VARIANTS) :] + VARIANTS[: number % len(VARIANTS)]
        rounds.append({each.name: figures(each, pool, server, folder) for each in turn})
    return {v.name: median([each[v.name] for each in rounds]) for v in VARIANTS}


def figures(variant: Variant, pool: str, server: servers.Container, folder: Path) -> Figures:
    """One start with hardly any work, and one with much."""
    app = producer(variant, server, folder)

    def send() -> None:
        app.send_task("bench.note", (time.time(),), queue=variant.queue, ignore_result=True)

    send()
    with working(variant, pool, server, folder) as worker:
        time.sleep(REST_SECONDS)
        idle_mib, start_seconds = worker.memory_mib(), worker.start_seconds
        for _ in range(PACED_TASKS):
            time.sleep(PACE_SECONDS)
            send()
        worker.wait_for(1 + PACED_TASKS)
        waits_ms = sorted(1000 * (began - sent) for sent, began in worker.notes_seconds()[1:])
    for _ in range(TASKS):
        send()
    with working(variant, pool, server, folder) as worker:
        per_second, cpu_ms = speed(worker)
        busy_mib = worker.memory_mib()
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_purge(variant.queue)
    app.close()
    return Figures(
        tasks_per_second=per_second,
        cpu_ms=cpu_ms,
        median_ms=statistics.median(waits_ms),
        slow_ms=waits_ms[int(0.95 * len(waits_ms))],
        start_seconds=start_seconds,
        idle_mib=idle_mib,
        busy_mib=busy_mib,
    )


def speed(worker: Worker) -> tuple[float, float]:
    """Tasks in a second, and milliseconds of CPU for each, when it is warm."""
    worker.wait_for(WARM_UP_TASKS)
    cpu, first = worker.cpu_seconds(), len(worker.notes_seconds())
    with suppress(TimeoutError):
        worker.wait_for(TASKS, within_seconds=MOST_SECONDS)
    cpu, began = worker.cpu_seconds() - cpu, [at for _, at in worker.notes_seconds()]
    done = len(began) - first
    return done / (began[-1] - began[first - 1]), 1000 * cpu / done


def median(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median."""
    names = Figures.__dataclass_fields__
    return Figures(**{n: statistics.median(getattr(each, n) for each in rounds) for n in names})


COLUMNS: dict[str, Callable[[Figures], str]] = {
    "tasks/s": lambda each: f"{each.tasks_per_second:,.0f}",
    "CPU a task": lambda each: f"{each.cpu_ms:.2f} ms",
    "send to start": lambda each: f"{each.median_ms:.1f} ms",
    "95 % within": lambda each: f"{each.slow_ms:.1f} ms",
    "command to first task": lambda each: f"{each.start_seconds:.1f} s",
    "idle": lambda each: f"{each.idle_mib:.0f} MiB",
    "busy": lambda each: f"{each.busy_mib:.0f} MiB",
}


def table(medians: dict[str, Figures]) -> Table:
    """One line for each variant."""
    made = Table(box=box.MARKDOWN)
    made.add_column("settings")
    for title in COLUMNS:
        made.add_column(title, justify="right")
    for name, each in medians.items():
        made.add_row(name, *(text(each) for text in COLUMNS.values()))
    return made


if __name__ == "__main__":
    main()
