"""What Celery's events cost workers, producers and the broker.

Run by `make bench-sources`, on a RabbitMQ and a Redis of its own, in about six minutes. Each worker
does the same tasks without events and with them, in turns. The table is Markdown, and is kept
beside this file.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from celery import Celery
from rich import box
from rich.console import Console
from rich.table import Table

from celery_exporter import roster
from celery_exporter.events.pump import Source
from celery_exporter.events.rabbitmq import RabbitEvents
from celery_exporter.events.redis import RedisEvents
from celery_runtime import configure
from tests.benchmarks.probes import machine, mount, running
from tests.runtime.brokers import servers
from tests.runtime.conftest import CHART_POOLS, Service
from tests.runtime.processes import cpu_seconds, family

RESULTS = Path(__file__).with_name("sources.txt")
SOURCES: dict[str, Callable[[Celery], Source]] = {"RabbitMQ": RabbitEvents, "Redis": RedisEvents}
ROUNDS = 3
TASKS = 1000
WARM_UP_TASKS = 100
ASKED = 20
LISTEN_SECONDS = 30
DRAIN_SECONDS = 120


@dataclass(frozen=True)
class Cost:
    """What one task costs on the average."""

    worker_ms: float
    producer_ms: float
    messages: float
    kilobytes: float


def main() -> None:
    """Measure, print and keep."""
    console = Console(width=110, record=True, color_system=None)
    table = Table(
        *("broker", "pool", "events", "CPU of the worker", "CPU of the producer"),
        *("event messages", "their size"),
        box=box.MARKDOWN,
    )
    asked: list[str] = []
    for name, source in SOURCES.items():
        with TemporaryDirectory() as folder, broker(name, Path(folder)) as server:
            for pool in CHART_POOLS:
                asked.append(rows(table, name, source, pool, server, Path(folder)))
    console.print(machine())
    console.print(f"For each of {TASKS:,} tasks, the median of {ROUNDS} rounds:\n")
    console.print(table)
    console.print("For each time that a worker is asked for its queues and its concurrency:\n")
    console.print("\n".join(asked))
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def broker(name: str, folder: Path) -> Iterator[servers.Container]:
    """A broker of this benchmark's own."""
    own = (
        servers.rabbitmq(folder) if name == "RabbitMQ" else servers.redis("redis:8", "redis-server")
    )
    try:
        yield own
    finally:
        own.remove()


def rows(
    table: Table,
    name: str,
    source: Callable[[Celery], Source],
    pool: str,
    server: servers.Container,
    folder: Path,
) -> str:
    """Measure one pool on one broker, without events and with them."""
    rounds = [
        {events: cost(source, pool, server, folder, events=events) for events in (False, True)}
        for _ in range(ROUNDS)
    ]
    for events in (False, True):
        figures = zip(*(astuple(each[events][0]) for each in rounds), strict=True)
        worker_ms, producer_ms, messages, kilobytes = map(statistics.median, figures)
        table.add_row(
            *(name, pool, "on" if events else "off"),
            *(f"{worker_ms:.2f} ms", f"{producer_ms:.2f} ms"),
            *(f"{messages:.2f}", f"{kilobytes:.2f} kB"),
        )
    asked_ms = statistics.median(each[events][1] for each in rounds for events in each)
    return f"- {name}, {pool}: {asked_ms:.1f} ms of CPU of the worker"


def cost(
    source: Callable[[Celery], Source],
    pool: str,
    server: servers.Container,
    folder: Path,
    *,
    events: bool,
) -> tuple[Cost, float]:
    """What a task costs a worker, its producer and the broker; and what an answer costs."""
    environment = {**os.environ, **mount(server, folder)}
    write(folder, worker_send_task_events=events, task_send_sent_event=events)
    app = producer(folder)
    with running(pool, folder, environment) as worker, heard(source(app)) as messages:
        send(app, WARM_UP_TASKS)
        drained(worker)
        messages.clear()
        worker_cpu, own_cpu = used_seconds(worker), time.thread_time()
        send(app, TASKS)
        own_cpu = time.thread_time() - own_cpu
        drained(worker)
        worker_cpu = used_seconds(worker) - worker_cpu
        figures = (1000 * worker_cpu, 1000 * own_cpu, len(messages), sum(map(len, messages)) / 1000)
        asked_ms = asked(app, worker)
    app.close()
    return Cost(*(figure / TASKS for figure in figures)), asked_ms


def write(folder: Path, **config: bool) -> None:
    """Put a configuration into the mounted settings."""
    settings = json.loads((folder / "settings.json").read_text())
    settings["config"] = {"task_ignore_result": True, **config}
    (folder / "settings.json").write_text(json.dumps(settings))


def producer(folder: Path) -> Celery:
    """An app with the mounted settings."""
    os.environ["CELERY_RUNTIME_DIR"] = str(folder)
    app = Celery("producer", set_as_current=False)
    configure(app)
    return app


def send(app: Celery, tasks: int) -> None:
    """Send tasks that do nothing."""
    for _ in range(tasks):
        app.send_task("tiny.work", (0,), queue="default", ignore_result=True)


def drained(worker: Service) -> None:
    """Wait until the worker has done everything."""
    deadline, quiet_at, before = time.monotonic() + DRAIN_SECONDS, time.monotonic(), 0.0
    while time.monotonic() - quiet_at < 1:
        assert time.monotonic() < deadline, "never done"
        time.sleep(0.1)
        now = used_seconds(worker)
        if now - before > 0.02:
            quiet_at = time.monotonic()
        before = now


def asked(app: Celery, worker: Service) -> float:
    """Milliseconds of CPU for each answer."""
    before = used_seconds(worker)
    with app.connection_for_write() as connection:
        inspect = app.control.inspect(connection=connection, timeout=0.5, limit=1)
        for _ in range(ASKED):
            assert roster.answers(inspect.stats() or {}, inspect.active_queues() or {})
    return 1000 * (used_seconds(worker) - before) / ASKED


def used_seconds(worker: Service) -> float:
    """What a worker has used with its children, in user and system mode."""
    return cpu_seconds(*family(worker.process.pid))


@contextmanager
def heard(source: Source) -> Iterator[list[bytes]]:
    """The messages with events that come meanwhile."""
    messages: list[bytes] = []
    stopping = Event()
    source.connect()

    def listen() -> None:
        while not stopping.is_set():
            messages.extend(source.read(wait_seconds=0.1))

    thread = Thread(target=listen)
    thread.start()
    try:
        yield messages
    finally:
        stopping.set()
        thread.join(LISTEN_SECONDS)
        source.close()


if __name__ == "__main__":
    main()
