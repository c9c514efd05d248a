"""Workers side by side on one broker: as Celery is, and as the package makes them."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from celery import Celery

import celery_runtime
from tests.runtime.conftest import Mounted, Service, Start

if TYPE_CHECKING:
    from kombu.message import Message

DEADLINE_SECONDS = 60
#: What a careful user of plain Celery sets.
SAFE: dict[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
}
#: As the chart starts workers. Without these they exchange more, which is harder on them.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass
class Journal:
    """What the tasks of `journal.py` wrote: their id, what happened, in which process."""

    path: Path

    def entries(self, event: str) -> list[str]:
        return [line.split()[0] for line in self._lines() if line.split()[1] == event]

    def processes(self) -> set[str]:
        return {line.split()[2] for line in self._lines()}

    def wait(self, event: str, *, count: int = 1, within_seconds: float = DEADLINE_SECONDS) -> None:
        wait_until(lambda: len(self.entries(event)) >= count, within_seconds=within_seconds)

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@dataclass
class Bench:
    """One queue of its own, and workers and producers for it."""

    mounted: Mounted
    celery: Start
    url: str
    queue: str
    journal: Journal

    @property
    def plain_queue(self) -> str:
        """Plain Celery makes a classic queue: it cannot have the name of a quorum queue."""
        return f"plain-{self.queue}"

    def shipped(self, pool: str, *arguments: str, **environment: str) -> Service:
        """A worker with the mounted settings, as the chart starts it."""
        self.mounted.write()
        arguments = (f"--queues={self.queue}", *arguments)
        return self._start("celery_runtime.app", pool, arguments, environment)

    def plain(
        self,
        pool: str,
        *arguments: str,
        environment: Mapping[str, str] = MappingProxyType({}),
        **settings: Any,  # noqa: ANN401 # Celery's own
    ) -> Service:
        """A worker of the app alone, with Celery's defaults and these settings."""
        configuration = {"broker_url": self.url, "task_default_queue": self.plain_queue, **settings}
        environment = {**environment, "PLAIN_SETTINGS": json.dumps(configuration)}
        arguments = (f"--queues={self.plain_queue}", *arguments)
        return self._start("journal:app", pool, arguments, environment)

    def producer(self) -> Celery:
        """An app that sends with the mounted settings."""
        self.mounted.write()
        app = Celery("producer", set_as_current=False)
        celery_runtime.configure(app)
        return app

    def plain_producer(self, **settings: object) -> Celery:
        app = Celery("producer", broker=self.url, set_as_current=False)
        app.conf.update(task_default_queue=self.plain_queue, **settings)
        return app

    def depth(self, queue: str = "") -> int:
        """How many messages of a queue wait for a worker."""
        with self.plain_producer().connection_for_read() as connection:
            channel = connection.default_channel
            if self.url.startswith("redis:"):
                return int(channel.client.llen(queue or self.queue))
            declared = channel.queue_declare(queue or self.queue, passive=True)
            return int(declared.message_count)

    def take(self, queue: str) -> "Message":
        """Take one message out of a queue."""
        with self.plain_producer().connection_for_read() as connection:
            channel = connection.default_channel
            message = channel.message_to_python(channel.basic_get(queue, no_ack=True))
            return cast("Message", message)

    def _start(
        self, module: str, pool: str, arguments: Iterable[str], environment: Mapping[str, str]
    ) -> Service:
        return self.celery(
            "worker",
            f"--hostname={uuid4().hex}@%h",
            f"--pool={pool}",
            "--loglevel=info",
            *([] if any(a.startswith("--concurrency") for a in arguments) else ["--concurrency=2"]),
            *arguments,
            module=module,
            app="journal:app",
            JOURNAL=str(self.journal.path),
            **environment,
        )


def ready(*services: Service) -> None:
    """Wait until each worker consumes; plain ones have no probe, but say so."""
    for service in services:
        wait_until(partial(_says_ready, service), service=service)


def _says_ready(service: Service) -> bool:
    return " ready." in service.log.read_text()


def exits(*services: Service, within_seconds: float) -> list[int | None]:
    """SIGTERM to all at once; each one's exit code, None where it still runs after that time."""
    for service in services:
        service.terminate()
    deadline = time.monotonic() + within_seconds
    return [_exit_code(service, deadline - time.monotonic()) for service in services]


def _exit_code(service: Service, within_seconds: float) -> int | None:
    try:
        return service.process.wait(timeout=max(within_seconds, 0.01))
    except subprocess.TimeoutExpired:
        return None


def wait_until(
    condition: Callable[[], bool],
    *,
    within_seconds: float = DEADLINE_SECONDS,
    service: Service | None = None,
) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        log = service.log.read_text() if service else ""
        assert service is None or service.process.poll() is None, log
        assert time.monotonic() < deadline, f"not within {within_seconds} s\n{log}"
        time.sleep(0.1)
