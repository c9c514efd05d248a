"""What the exporter costs, beside danihodovic/celery-exporter and the least that Python can do.

Run by `make bench-exporter`, on a Redis of its own; takes about five minutes. The same messages go
to each, one after the other, in turns. The tables are Markdown, and are kept beside this file.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis
from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.exporter_load import NAMES, TOGETHER, lives, publish
from tests.runtime.conftest import free_port
from tests.runtime.processes import cpu_seconds, freeze, thaw
from tests.runtime.redisserver import RedisServer

PEER = "prometheus-exporter-celery==0.11.2"
#: The peer allows both, and brings neither itself.
PEER_NEEDS = ("packaging", "celery==5.5.3", "kombu==5.5.4")
PEER_PYTHON = ">=3.11,<3.13"
PEER_MAIN = "import sys; from src.cli import cli; sys.exit(cli())"

RESULTS = Path(__file__).with_name("exporter.txt")
PEER_NAME, FLOOR_NAME, OUR_NAME = "celery-exporter 0.11.2", "the floor", "this exporter"

ROUNDS = 3
EVENTS = 50_000
WORKERS = {"10 workers": 10, "1,000 workers": 1000}
TASK_IDS = 1_000_000
SCRAPED_WORKERS = 1000
START_SECONDS = 60
DRAIN_SECONDS = 600
#: Silence after which everything that came is done.
IDLE_SECONDS = 1.0
LOOK_SECONDS = 0.05
BLOCK_BYTES = 1024 * 1024
#: Of each look; what a process does by the clock takes less.
BUSY_SECONDS = 0.02


@dataclass
class Subject:
    """A process that listens to events."""

    process: "subprocess.Popen[bytes]"
    port: int

    def cpu_seconds(self) -> float:
        """What it has used, in user and system mode."""
        return cpu_seconds(self.process.pid)

    def memory_mib(self) -> float:
        """What it has in memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        resident = next(line for line in lines if line.startswith("VmRSS"))
        return int(resident.split()[1]) / 1024

    def page(self) -> str:
        """What Prometheus would get."""
        return b"".join(self._scrape()).decode()

    def scrape_seconds(self) -> float:
        """How long it takes until the whole page has come."""
        began = time.perf_counter()
        for _ in self._scrape():
            pass
        return time.perf_counter() - began

    def _scrape(self) -> Iterator[bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=DRAIN_SECONDS)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            while block := answer.read1(BLOCK_BYTES):
                yield block

    def wait_until_idle(self) -> float:
        """When it last did something."""
        deadline = time.monotonic() + DRAIN_SECONDS
        busy_at, before = time.monotonic(), self.cpu_seconds()
        while time.monotonic() - busy_at < IDLE_SECONDS:
            assert time.monotonic() < deadline, "never idle"
            time.sleep(LOOK_SECONDS)
            now = self.cpu_seconds()
            # On a crowded machine it may wait for a core.
            if now - before > BUSY_SECONDS or self._is_runnable():
                busy_at = time.monotonic()
            before = now
        return busy_at

    def _is_runnable(self) -> bool:
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return any(_state(thread) == "R" for thread in threads)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ""


Start = Callable[[], Subject]


@dataclass(frozen=True)
class Cost:
    """What so many events cost."""

    events_per_second: float
    cpu_seconds_per_100k: float


def main() -> None:
    """Measure, print and keep."""
    began = time.monotonic()
    console = Console(width=110, record=True, color_system=None)
    with TemporaryDirectory() as name:
        folder = Path(name)
        server = RedisServer(folder)
        server.start()
        try:
            starts = {
                OUR_NAME: ours(folder, server),
                PEER_NAME: peer(folder, server),
                FLOOR_NAME: floor(server),
            }
            with Redis.from_url(server.url) as redis:
                # The peer does not keep up; Redis would close its subscription.
                redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")
                console.print(machine())
                for measure in (costs, memory, scrapes):
                    console.print(measure(redis, starts))
        finally:
            server.stop()
    console.print(
        f"{time.monotonic() - began:.0f} s in all, load {os.getloadavg()[0]:.1f} at the end."
    )
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))


def costs(redis: Redis, starts: dict[str, Start]) -> Table:
    """Throughput and CPU, the median of the rounds."""
    table = markdown("events", "", "events/s", "ours", "CPU s per 100k", "ours", "of the floor")
    for label, workers in WORKERS.items():
        rounds = [
            {name: cost(redis, start, workers) for name, start in starts.items()}
            for _ in range(ROUNDS)
        ]
        medians = {name: median([each[name] for each in rounds]) for name in starts}
        for name, middle in medians.items():
            table.add_row(f"{EVENTS:,}, {label}", name, *compared(middle, medians))
    return table


def compared(cost: Cost, medians: dict[str, Cost]) -> list[str]:
    """Both figures, and how they compare with ours and with the floor."""
    own, least = medians[OUR_NAME], medians[FLOOR_NAME]
    return [
        f"{cost.events_per_second:,.0f}",
        f"{own.events_per_second / cost.events_per_second:.1f} x",
        f"{cost.cpu_seconds_per_100k:.2f}",
        f"1/{cost.cpu_seconds_per_100k / own.cpu_seconds_per_100k:.1f}",
        f"{cost.cpu_seconds_per_100k / least.cpu_seconds_per_100k:.2f}",
    ]


def cost(redis: Redis, start: Start, workers: int) -> Cost:
    """One process, from the first event to the last; Redis has them all when it begins."""
    with listening(redis, start) as subject:
        publish(redis, lives(0, 1000, workers=workers))
        subject.wait_until_idle()
        freeze(subject.process.pid)
        count = publish(redis, lives(1000, EVENTS // 4, workers=workers))
        cpu, began = subject.cpu_seconds(), time.monotonic()
        thaw(subject.process.pid)
        ended = subject.wait_until_idle()
        cpu = subject.cpu_seconds() - cpu
    return Cost(count / (ended - began), cpu * 100_000 / count)


def memory(redis: Redis, starts: dict[str, Start]) -> Table:
    """Memory as task ids come and go."""
    table = markdown("task ids", "RSS MiB", "events shed")
    with listening(redis, starts[OUR_NAME]) as subject:
        done = 0
        for until in (1_000, 100_000, 250_000, 500_000, 750_000, TASK_IDS):
            for first in range(done, until, 10_000):
                publish(
                    redis, lives(first, min(10_000, until - first), workers=10), together=TOGETHER
                )
                subject.wait_until_idle() if first % 50_000 == 0 else None
            done = until
            subject.wait_until_idle()
            shed = sample(subject.page(), 'celery_exporter_events_total{outcome="shed"}')
            table.add_row(f"{until:,}", f"{subject.memory_mib():.0f}", shed)
    return table


def scrapes(redis: Redis, starts: dict[str, Start]) -> Table:
    """How long a page takes that has every worker and every name."""
    pairs = SCRAPED_WORKERS * NAMES
    title = f"{SCRAPED_WORKERS:,} workers x {NAMES} names"
    table = markdown(title, "first scrape", "median", "longest", "CPU", "MB", "lines", "RSS MiB")
    for name, times in {OUR_NAME: 9, PEER_NAME: 1}.items():
        with listening(redis, starts[name]) as subject:
            publish(redis, lives(0, pairs, workers=SCRAPED_WORKERS), together=TOGETHER)
            subject.wait_until_idle()
            cpu = subject.cpu_seconds()
            seconds = [subject.scrape_seconds() for _ in range(times)]
            cpu = (subject.cpu_seconds() - cpu) / times
            page = subject.page()
            table.add_row(
                name,
                *(
                    f"{s:.3f} s"
                    for s in (seconds[0], statistics.median(seconds), max(seconds), cpu)
                ),
                f"{len(page) / 1e6:.1f}",
                f"{page.count(chr(10)):,}",
                f"{subject.memory_mib():.0f}",
            )
    return table


def sample(page: str, series: str) -> str:
    """The value of one series."""
    return next(line.split()[-1] for line in page.splitlines() if line.startswith(series))


def median(costs: list[Cost]) -> Cost:
    """The middle of each figure."""
    return Cost(
        statistics.median(each.events_per_second for each in costs),
        statistics.median(each.cpu_seconds_per_100k for each in costs),
    )


def ours(folder: Path, server: RedisServer) -> Start:
    """The exporter of this repository, with what the chart would mount."""
    mounted = folder / "mounted"
    (mounted / "broker").mkdir(parents=True)
    (mounted / "results").mkdir()
    (mounted / "broker/url").write_text(f"{server.url}/0")
    (mounted / "results/url").write_text(f"{server.url}/1")
    settings = {
        "broker": {"kind": "redis"},
        "resultBackend": {"kind": "redis"},
        "defaultQueue": "queue_0",
        "queues": {f"queue_{number}": {} for number in range(10)},
    }
    (mounted / "settings.json").write_text(json.dumps(settings))

    def start() -> Subject:
        port = free_port()
        more = {"CELERY_RUNTIME_DIR": str(mounted), "CELERY_EXPORTER_PORT": str(port)}
        return Subject(run(sys.executable, "-m", "celery_exporter", **more), port)

    return start


def peer(folder: Path, server: RedisServer) -> Start:
    """danihodovic/celery-exporter, in an environment of its own."""
    uv, python = os.environ.get("UV", "uv"), folder / "peer/bin/python"
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        PEER,
        *PEER_NEEDS,
    ]
    subprocess.run([uv, "venv", "--quiet", "--python", PEER_PYTHON, folder / "peer"], check=True)
    subprocess.run(install, check=True)

    def start() -> Subject:
        port = free_port()
        options = (f"--broker-url={server.url}/0", f"--port={port}", "--host=127.0.0.1")
        return Subject(run(str(python), "-c", PEER_MAIN, *options), port)

    return start


def floor(server: RedisServer) -> Start:
    """The least that it takes."""
    module = "tests.benchmarks.exporter_floor"
    return lambda: Subject(run(sys.executable, "-m", module, f"{server.url}/0"), 0)


def run(*command: str, **more: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, env={**os.environ, **more}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@contextmanager
def listening(redis: Redis, start: Start) -> Iterator[Subject]:
    """A process that has subscribed, and is ended afterwards."""
    subject = start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not redis.pubsub_numpat():
            assert subject.process.poll() is None, f"{subject.process.args!r} has ended"
            assert time.monotonic() < deadline, f"{subject.process.args!r} does not listen"
            time.sleep(0.1)
        subject.wait_until_idle()
        yield subject
    finally:
        subject.process.kill()
        subject.process.wait()
        while redis.pubsub_numpat() and time.monotonic() < deadline + START_SECONDS:
            time.sleep(0.1)


def markdown(*headings: str) -> Table:
    """A table that can be pasted."""
    table = Table(*headings, box=box.MARKDOWN)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def machine() -> str:
    """Where and with what this was measured."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("celery", "redis", "hiredis", "orjson")
    )
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"load {load:.1f} at the start, Python {platform.python_version()}, {packages}; "
        f"{ROUNDS} rounds, medians:\n"
    )


if __name__ == "__main__":
    main()
