"""The same worker in several settings: Celery's own, the article's, this project's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from celery import Celery

from tests.benchmarks import sources
from tests.benchmarks.probes import mount
from tests.benchmarks.workers.app import RECORD
from tests.runtime.brokers import servers
from tests.runtime.processes import cpu_seconds, family

HERE = Path(__file__).parent
CELERY = str(Path(sys.executable).with_name("celery"))
CONCURRENCY = {"prefork": 2, "gevent": 100}
#: As the chart starts workers.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
LONGEST_SECONDS = 120
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Variant:
    """Settings that somebody would run a worker with."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    #: Whether celery_runtime makes the settings, and looks after the worker.
    runtime: bool = False

    @property
    def queue(self) -> str:
        """A queue of its own: two kinds cannot have one name."""
        return "default" if self.runtime else self.name.replace(" ", "-")


#: What the article tells its readers to set.
ARTICLE = {"task_acks_late": True, "worker_prefetch_multiplier": 1}
#: What the shipped settings come to, for who writes them by hand.
BY_HAND = {
    **ARTICLE,
    "task_reject_on_worker_lost": True,
    "task_default_queue_type": "quorum",
    "task_default_exchange_type": "topic",
    "broker_transport_options": {"confirm_publish": True},
    "result_backend_thread_safe": True,
}
VARIANTS = (
    Variant("Celery's defaults"),
    Variant("the article's", ARTICLE),
    Variant("by hand", BY_HAND, QUIET),
    Variant("shipped", options=QUIET, runtime=True),
)


@dataclass
class Worker:
    """A worker that runs, and what its tasks have noted."""

    notes: Path
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    #: From its command to the beginning of its first task, which waited for it.
    start_seconds: float = 0.0

    def cpu_seconds(self) -> float:
        """What it has used with its children, in user and system mode."""
        return cpu_seconds(*family(self.process.pid))

    def memory_mib(self) -> float:
        """What it has in memory with its children, what they share counted once."""
        rollups = (
            Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in family(self.process.pid)
        )
        lines = (line.split() for rollup in rollups for line in rollup.splitlines())
        return sum(int(words[1]) for words in lines if words[0] == "Pss:") / 1024

    def notes_seconds(self) -> list[tuple[float, float]]:
        """When each task that ran was sent, and when it began, in the order of the beginnings."""
        return [(sent, began) for sent, began in RECORD.iter_unpack(self.notes.read_bytes())]

    def wait_for(self, notes: int, *, within_seconds: float = LONGEST_SECONDS) -> None:
        """Wait until so many tasks have run; raises TimeoutError."""
        deadline = time.monotonic() + within_seconds
        while self.notes.stat().st_size < notes * RECORD.size:
            assert self.process.poll() is None, self.log.read_text()
            if time.monotonic() > deadline:
                raise TimeoutError(self.log.read_text())
            time.sleep(LOOK_SECONDS)


@contextmanager
def working(
    variant: Variant, pool: str, server: servers.Container, folder: Path
) -> Iterator[Worker]:
    """A worker from its start to its end, on a queue that holds one task at least."""
    worker = Worker(folder / "notes", folder / "log")
    worker.notes.write_bytes(b"")
    command = [CELERY, "-A", "celery_runtime.app" if variant.runtime else "app:app", "worker"]
    command += [f"--pool={pool}", f"--concurrency={CONCURRENCY[pool]}", "--loglevel=warning"]
    command += [f"--queues={variant.queue}", *variant.options]
    with worker.log.open("wb") as output:
        began = time.monotonic()
        worker.process = subprocess.Popen(
            command,
            env={**_environment(variant, server, folder), "NOTES": str(worker.notes)},
            stdout=output,
            stderr=output,
        )
        try:
            worker.wait_for(1)
            worker.start_seconds = time.monotonic() - began
            yield worker
        finally:
            worker.process.terminate()
            worker.process.wait(LONGEST_SECONDS)


def producer(variant: Variant, server: servers.Container, folder: Path) -> Celery:
    """An app that sends to the variant's queue with its settings."""
    if variant.runtime:
        mount(server, folder)
        return sources.producer(folder)
    app = Celery("producer", set_as_current=False)
    app.conf.update(_plain_settings(variant, server))
    return app


def _environment(variant: Variant, server: servers.Container, folder: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(HERE), "CELERY_APP": "app:app"}
    if variant.runtime:
        return {**os.environ, **mount(server, folder), **own}
    # A literal of Python's: the names of a socket's options are numbers.
    plain = repr(_plain_settings(variant, server))
    return {**os.environ, **own, "PLAIN_SETTINGS": plain}


def _plain_settings(variant: Variant, server: servers.Container) -> dict[str, Any]:
    return {
        "broker_url": _url(server),
        # Not asked: the task has no result.
        "result_backend": "redis://127.0.0.1:1/0",
        "task_default_queue": variant.queue,
        **variant.settings,
    }


def _url(server: servers.Container) -> str:
    port = server.settings["port"]
    if server.settings["kind"] == "rabbitmq":
        return servers.amqp_url(port)
    return f"redis://:{quote(servers.PASSWORD, safe='')}@127.0.0.1:{port}/0"
