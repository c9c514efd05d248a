"""What a probe costs, beside `celery inspect ping`: CPU and broker messages, in every pool.

Run by `make bench-probes`, on a RabbitMQ of its own. The table is Markdown, for images/runtime.
"""

import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from tests.runtime.brokers import servers
from tests.runtime.conftest import HERE, POOLS, Service, free_port

PROBES = 500
PINGS = 5
CELERY = [str(Path(sys.executable).with_name("celery")), "-A", "celery_runtime.app"]
MESSAGES_RECEIVED = (
    "maps:fold(fun(_, #{messages_received_total := N}, Sum) -> Sum + N; (_, _, Sum) -> Sum end,"
    " 0, rabbit_global_counters:overview())."
)


@dataclass(frozen=True)
class Cost:
    """What one probe costs on the average."""

    worker_ms: float
    client_ms: float
    messages: float


def main() -> None:
    """Measure every pool and print the table."""
    console = Console(width=100)
    with TemporaryDirectory() as folder:
        broker = servers.rabbitmq(Path(folder))
        try:
            print_costs(console, broker, Path(folder))
        finally:
            broker.remove()


def print_costs(console: Console, broker: servers.Container, folder: Path) -> None:
    """Print the machine, then one line for each pool and probe."""
    environment = {**os.environ, **mount(broker, folder)}
    table = Table(box=box.MARKDOWN)
    for title in ("pool", "probe", "n", "CPU of the worker", "CPU of the client", "messages"):
        table.add_column(title, justify="left" if title in ("pool", "probe") else "right")
    with console.status("") as status:
        for pool in POOLS:
            status.update(f"Probing a {pool} worker")
            for probe, count, cost in costs(pool, broker, folder, environment):
                table.add_row(
                    pool,
                    probe,
                    str(count),
                    f"{cost.worker_ms:.2f} ms",
                    f"{cost.client_ms:.2f} ms",
                    f"{cost.messages:g}",
                )
    console.print(machine())
    console.print(table)


def costs(
    pool: str, broker: servers.Container, folder: Path, environment: dict[str, str]
) -> Iterator[tuple[str, int, Cost]]:
    """The cost of each kind of probe of a worker that has nothing to do."""
    with running(pool, folder, environment) as service:
        for path in ("live", "ready"):
            ask = asker(service.port, path)
            yield f"GET /{path}", PROBES, measure(ask, PROBES, service, broker)
        ping = pinger(pool, environment)
        yield "inspect ping -d", PINGS, measure(ping, PINGS, service, broker)


def measure(
    probe: Callable[[], object], count: int, service: Service, broker: servers.Container
) -> Cost:
    """The average cost of a probe; one goes before, so that nothing is done for the first time."""
    probe()
    messages, worker, client = received(broker), service.cpu_seconds(), cpu_of_clients()
    for _ in range(count):
        probe()
    worker, client = service.cpu_seconds() - worker, cpu_of_clients() - client
    messages = received(broker) - messages
    return Cost(1000 * worker / count, 1000 * client / count, messages / count)


def asker(port: int, path: str) -> Callable[[], None]:
    """A GET on a plain socket, as the kubelet sends it: a connection for each."""
    request = f"GET /{path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n".encode()

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            answer = b""
            while received := connection.recv(4096):
                answer += received
        assert b" 200 " in answer.splitlines()[0], answer

    return ask


def pinger(pool: str, environment: dict[str, str]) -> Callable[[], object]:
    """`celery inspect ping` of one worker, as a probe would run it."""
    name = f"{pool}@{socket.gethostname()}"
    command = [*CELERY, "inspect", "ping", "--destination", name]
    return lambda: subprocess.run(command, env=environment, check=True, capture_output=True)


def cpu_of_clients() -> float:
    """The CPU seconds of this process and of those that it has run."""
    ran = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ran.ru_utime + ran.ru_stime


def received(broker: servers.Container) -> int:
    """How many messages RabbitMQ was ever sent."""
    return int(broker.execute("rabbitmqctl", "--quiet", "eval", MESSAGES_RECEIVED))


def mount(broker: servers.Container, folder: Path) -> dict[str, str]:
    """The directory that the chart would mount, and the environment that leads to it."""
    settings = {
        "broker": broker.settings,
        "resultBackend": {"kind": "redis", "host": "127.0.0.1", "port": 1, "database": 0},
        "defaultQueue": "default",
        "queues": {"default": {}},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    for name, value in {**broker.secrets, "results/password": "unused"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(value)
    return {
        "CELERY_RUNTIME_DIR": str(folder),
        "CELERY_APP": "tinyapp:app",
        "PYTHONPATH": str(HERE / "apps"),
    }


@contextmanager
def running(pool: str, folder: Path, environment: dict[str, str]) -> Iterator[Service]:
    """A worker with the command line of the chart, once it is ready."""
    port, log = free_port(), folder / f"{pool}.log"
    command = [*CELERY, "worker", f"--hostname={pool}@%h", f"--pool={pool}", "--concurrency=2"]
    quiet = ["--queues=default", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    more = {"CELERY_RUNTIME_HEALTH_PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *quiet], env={**environment, **more}, stdout=output, stderr=output
        )
    service = Service(process, port, log)
    try:
        service.wait_for("ready", 200)
        yield service
    finally:
        process.kill()
        process.wait()


def machine() -> str:
    """Where and with what this was measured."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, Celery {version('celery')}:\n"
    )


if __name__ == "__main__":
    main()
