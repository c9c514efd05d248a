"""What celery_runtime's tests have: a mounted directory, Redis, workers; and an exporter."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.runtime.conftest import (
    Mounted,
    _logging_as_it_was,
    _memory_broker_without_memory,
    _plain_environment,
    celery,
    document,
    frail_redis,
    free_port,
    mounted,
    producer,
    reachable,
    redis_url,
    wait_until,
    worker,
)

__all__ = [
    "_logging_as_it_was",
    "_memory_broker_without_memory",
    "_plain_environment",
    "celery",
    "document",
    "frail_redis",
    "mounted",
    "producer",
    "reachable",
    "redis_url",
    "worker",
]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(page: str | Iterator[str]) -> Samples:
    """A page as Prometheus reads it; a series that comes twice fails."""
    found: Samples = {}
    for family in text_string_to_metric_families("".join(page)):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def types_of(page: str) -> dict[str, str]:
    """The type of each metric, by the name that its family has."""
    return {family.name: family.type for family in text_string_to_metric_families(page)}


def value(samples: Samples, metric: str, /, **labels: str) -> float | None:
    """One sample; None where there is none."""
    return samples.get((metric, frozenset(labels.items())))


@dataclass
class RunningExporter:
    """`python -m celery_exporter` as a process of its own."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self) -> Samples:
        return samples_of(self.get("/metrics")[1])

    def value(self, metric: str, /, **labels: str) -> float | None:
        return value(self.samples(), metric, **labels)

    def wait_for(self, number: float, metric: str, /, **labels: str) -> None:
        wait_until(
            lambda: self.answers() and self.value(metric, **labels) == number,
            f"{metric}{labels} {number}",
            seconds=30,
        )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/live")[0] == 200
        except (URLError, OSError):
            return False


StartExporter = Callable[..., RunningExporter]


@pytest.fixture
def exporter(mounted: Mounted, tmp_path: Path) -> Iterator[StartExporter]:
    """Starts the exporter with what is mounted, and waits until it answers."""
    started: list[RunningExporter] = []

    def start(**more: str) -> RunningExporter:
        port = free_port()
        log = tmp_path / f"exporter-{len(started)}.log"
        environment = {
            **os.environ,
            "CELERY_RUNTIME_DIR": str(mounted.path),
            "CELERY_EXPORTER_PORT": str(port),
            **more,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery_exporter"],
                env=environment,
                stdout=output,
                stderr=output,
            )
        started.append(RunningExporter(process, port, log))
        wait_until(started[-1].answers, "the exporter answers", seconds=30)
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
