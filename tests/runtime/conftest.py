"""A mounted directory, a Redis, and real workers and beats on loopback ports."""

import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.transport import memory
from redis import Redis

from celery_runtime import configure
from tests.runtime.coordination.effects import Effects
from tests.runtime.processes import cpu_seconds
from tests.runtime.redisserver import RedisServer

HERE = Path(__file__).parent
DEADLINE_SECONDS = 20
#: The pools that the chart has, and all that Celery has.
CHART_POOLS = ("prefork", "gevent")
POOLS = (*CHART_POOLS, "eventlet", "threads", "solo")
PORTS = (20_000, 32_768)
#: Test processes side by side, each with ports of its own: one that is chosen is not yet taken.
PROCESSES = 32


@dataclass
class Mounted:
    """The directory that the chart would mount, and its parts to change."""

    path: Path
    settings: dict[str, Any]

    def write(self) -> Path:
        (self.path / "settings.json").write_text(json.dumps(self.settings))
        return self.path

    def secret(self, name: str, value: str) -> None:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(value)


@dataclass
class Service:
    """A worker or beat that runs as its own process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def probe(self, name: str, *, timeout_seconds: float = 5) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout_seconds)
        with closing(connection):
            connection.request("GET", f"/{name}")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())["reason"]

    def wait_for(self, name: str, status: int) -> str:
        """The reason that comes with the status that a probe must reach."""
        seen: object = None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            try:
                seen = self.probe(name)
            except OSError as error:
                seen = error
            else:
                if seen[0] == status:
                    return seen[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        pytest.fail(f"/{name} was {seen}, never {status}:\n{self.log.read_text()}")

    def cpu_seconds(self) -> float:
        """What its main process has used, in user and system mode."""
        return cpu_seconds(self.process.pid)

    def lines(self) -> list[dict[str, Any]]:
        """Everything it wrote to either stream; a line that is not a JSON object fails."""
        has_ended = self.process.poll() is not None
        *whole, begun = self.log.read_text().split("\n")
        # What is read while it is written can end anywhere.
        records = [json.loads(line) for line in (*whole, *([begun] if has_ended and begun else []))]
        assert all(isinstance(record, dict) for record in records)
        return records

    def wait_for_line(self, **fields: object) -> dict[str, Any]:
        """The first record with these fields."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            for record in self.lines():
                if fields.items() <= record.items():
                    return record
            time.sleep(0.1)
        pytest.fail(f"no line with {fields}:\n{self.log.read_text()}")

    def page(self, name: str) -> str:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", f"/{name}")
            return connection.getresponse().read().decode()

    def sends(self) -> list[tuple[datetime, str]]:
        """When beat has sent which entry, or tried to."""
        due = re.compile(r"Scheduler: Sending due task (\S+) .*")
        lines = [(line["time"], due.fullmatch(line["message"])) for line in self.lines()]
        return [(datetime.fromisoformat(at), found[1]) for at, found in lines if found]

    def wait_for_sends(self, number: int) -> None:
        """Until beat has sent, or tried to, so many times."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(self.sends()) < number:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        self.terminate()
        return self.process.wait(timeout=DEADLINE_SECONDS)


Start = Callable[..., Service]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(tmp_path / "nothing"))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test does to the root logger is undone, and what the demo's tests did to its level."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    root.setLevel(logging.WARNING)
    yield
    root.setLevel(logging.WARNING)
    root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _memory_broker_without_memory() -> None:
    """What other tests of this process declared on memory:// is forgotten."""
    memory.Transport.global_state.clear()


@pytest.fixture
def document() -> dict[str, Any]:
    """A small settings.json; nothing listens where it points."""
    return {
        "broker": {"kind": "rabbitmq", "host": "127.0.0.1", "port": 1, "vhost": "/"},
        "resultBackend": {"kind": "redis", "host": "127.0.0.1", "port": 1, "database": 0},
        "defaultQueue": "default",
        "queues": {"default": {}, "email": {"deliveryLimit": 3}},
    }


@pytest.fixture
def mounted(tmp_path: Path, document: dict[str, Any]) -> Mounted:
    """The mounted directory with that document and its secrets."""
    directory = Mounted(tmp_path / "mounted", document)
    directory.path.mkdir()
    directory.secret("broker/username", "celery")
    directory.secret("broker/password", "s3cret")
    directory.secret("results/password", "s3cret")
    directory.write()
    return directory


def _ports() -> Iterator[int]:
    """This process' ports, none of them twice before all were there."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    own = range(PORTS[0] + process, PORTS[1], PROCESSES)
    yield from islice(cycle(own), random.randrange(len(own)), None)  # noqa: S311


_PORTS = _ports()


def free_port() -> int:
    """A port that no outgoing connection gets: a client that retries could reach itself on it."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a cycle has no end")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of this test run."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def frail_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test, not started."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


def wait_until(happened: Callable[[], object], what: str, *, seconds: float = 20) -> None:
    """Wait for something; the test fails by its name when it does not come."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def reachable(mounted: Mounted, redis_url: str) -> Mounted:
    """The mounted directory with Redis as result backend, and as broker by the last word."""
    mounted.secret("results/url", f"{redis_url}/0")
    mounted.settings["broker"] = {"kind": "redis", "host": "127.0.0.1", "port": 1}
    mounted.settings["config"] = {"broker_url": f"{redis_url}/1"}
    mounted.write()
    return mounted


@pytest.fixture
def producer(reachable: Mounted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """An app that sends to that broker and reads results."""
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(reachable.path))
    app = Celery("producer")
    configure(app)
    yield app
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()
    app.close()


@pytest.fixture
def celery(mounted: Mounted, tmp_path: Path) -> Iterator[Start]:
    """Starts `celery -A celery_runtime.app …` as the chart does, or of an app as it is."""
    started: list[Service] = []

    def start(
        *arguments: str,
        module: str = "celery_runtime.app",
        app: str = "tinyapp:app",
        **more: str,
    ) -> Service:
        port = free_port()
        log = tmp_path / f"{len(started)}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(HERE / "apps"),
            "CELERY_APP": app,
            "CELERY_RUNTIME_DIR": str(mounted.path),
            "CELERY_RUNTIME_HEALTH_PORT": str(port),
            **more,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("celery"), "-A", module, *arguments],
                env=environment,
                cwd=tmp_path,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        started.append(Service(process, port, log))
        return started[-1]

    yield start
    for service in started:
        service.process.kill()
        service.process.wait()


@pytest.fixture
def worker(celery: Start) -> Start:
    """Starts a worker with the command line of the chart."""

    def start(pool: str, *options: str, queues: str = "default,email", **more: str) -> Service:
        return celery(
            "worker",
            "--hostname=io@%h",
            f"--pool={pool}",
            "--concurrency=2",
            f"--queues={queues}",
            "--loglevel=info",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            *options,
            CELERY_WORKER_GROUP="io",
            **more,
        )

    return start


@pytest.fixture
def effects(redis_url: str) -> Iterator[Effects]:
    """What the tasks of sharedapp leave; nothing as a test begins."""
    with Redis.from_url(f"{redis_url}/2", decode_responses=True) as redis:
        redis.flushdb()
        yield Effects(f"{redis_url}/2", redis)


@pytest.fixture
def shared(worker: Start, effects: Effects) -> Start:
    """Starts a worker of sharedapp."""
    return lambda pool, **more: worker(pool, app="sharedapp:app", EFFECTS_URL=effects.url, **more)


@pytest.fixture
def beat(celery: Start) -> Start:
    """Starts beat with the command line of the chart."""

    def start(*options: str, store: str = "redis", **more: str) -> Service:
        name = f"--scheduler=celery_runtime.beat.{store}:Scheduler"
        return celery("beat", "--loglevel=info", name, *options, **more)

    return start
