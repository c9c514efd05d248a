"""What the exporter and its policy cost as the fleet grows.

Run by `make bench-fleet`, on a RabbitMQ of its own, in about six minutes. Workers and the API of
Kubernetes are synthetic, in other processes; the exporter, its questions and the broker are real.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery
from rich.console import Console

from celery_runtime import configure
from celery_runtime.queues import dead_letter_queues
from tests.benchmarks.exporter import Subject, markdown, run, sample
from tests.benchmarks.fleet.synthetic import (
    SLOTS,
    WORKERS_PER_GROUP,
    address_of,
    group_of,
    name_of,
    queues_of,
)
from tests.benchmarks.probes import machine
from tests.exporter.fleet.kubeapi import GROUP_LABEL, LABELS, NAMESPACE, KubeApi, raw_pod
from tests.runtime.brokers import servers
from tests.runtime.conftest import free_port, wait_for_port

RESULTS = Path(__file__).with_name("results.txt")
FLEETS = (10, 100, 300, 1000)
#: From zero to the fleet, and some rounds of questions.
SETTLE_SECONDS = 45
MEASURED_SECONDS = 30
SCRAPES = 5
READY_SECONDS = 120
#: As many as there are: nobody is about to go.
SCALED = {"minReplicas": WORKERS_PER_GROUP, "maxReplicas": 100, "queueWaitSeconds": 30}


def main() -> None:
    """Measure, print and keep."""
    console = Console(width=120, record=True, color_system=None)
    console.print(machine())
    table = markdown(
        "workers", "queues", "groups", "CPU of a core", "for each worker", "scrape", "page", "RSS"
    )
    for workers in FLEETS:
        with TemporaryDirectory() as name, watching(workers, Path(name)) as exporter:
            time.sleep(SETTLE_SECONDS)
            page = exporter.page()
            frozen = 'celery_exporter_scaling_frozen{group="group-0"}'
            assert sample(page, frozen) == "0", "nothing is decided"
            cpu = exporter.cpu_seconds()
            time.sleep(MEASURED_SECONDS)
            share = (exporter.cpu_seconds() - cpu) / MEASURED_SECONDS
            scrape = statistics.median(exporter.scrape_seconds() for _ in range(SCRAPES))
            groups = len(groups_of(workers))
            table.add_row(
                f"{workers:,}",
                f"{sum(len(queues_of(group)) for group in groups_of(workers)):,}",
                f"{groups:,}",
                f"{share:.1%}",
                f"{share / workers:.3%}",
                f"{1000 * scrape:.0f} ms",
                f"{len(page) / 1e6:.1f} MB",
                f"{exporter.memory_mib():.0f} MiB",
            )
    console.print(table)
    console.print(f"Each worker does a task a second; load {os.getloadavg()[0]:.1f} at the end.")
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))


def groups_of(workers: int) -> list[str]:
    """The worker groups of a fleet."""
    return list(dict.fromkeys(group_of(number) for number in range(workers)))


@contextmanager
def watching(workers: int, folder: Path) -> Iterator[Subject]:
    """The exporter beside a fleet, once it answers."""
    folder.chmod(0o755)
    port, metrics = free_port(), free_port()
    synthetic = run(
        sys.executable, "-m", "tests.benchmarks.fleet.synthetic", str(port), str(workers)
    )
    api, broker = KubeApi(), servers.rabbitmq(folder)
    api.pods = [_pod(number) for number in range(workers)]
    try:
        environment = {
            "CELERY_RUNTIME_DIR": str(_mounted(workers, port, broker, folder)),
            "CELERY_EXPORTER_PORT": str(metrics),
            "CELERY_EXPORTER_SCALER_PORT": str(free_port()),
            "KUBECONFIG": str(api.kubeconfig(folder)),
        }
        _declare(folder / "mounted")
        exporter = run(sys.executable, "-m", "celery_exporter", **environment)
        try:
            wait_for_port(metrics)
            yield Subject(exporter, metrics)
        finally:
            exporter.kill()
            exporter.wait()
    finally:
        synthetic.kill()
        synthetic.wait()
        broker.remove()
        api.close()


def _pod(number: int) -> dict[str, object]:
    labels = {**LABELS, GROUP_LABEL: group_of(number)}
    metadata = {"name": name_of(number), "uid": f"uid-{number}", "labels": labels}
    return raw_pod(name_of(number), metadata=metadata, podIP=address_of(number))


def _mounted(workers: int, port: int, broker: servers.Container, folder: Path) -> Path:
    """What the chart would mount."""
    groups = {
        group: {
            "queues": queues_of(group),
            "slots": SLOTS,
            "maxTaskSeconds": 60,
            "autoscaling": SCALED,
        }
        for group in groups_of(workers)
    }
    found = {"namespace": NAMESPACE, "labels": LABELS, "groupLabel": GROUP_LABEL, "port": port}
    queues = [queue for group in groups for queue in queues_of(group)]
    settings = {
        "broker": broker.settings,
        "resultBackend": {"kind": "redis", "host": "127.0.0.1", "port": 1, "database": 0},
        "defaultQueue": queues[0],
        "queues": {queue: {} for queue in queues},
    }
    mounted = folder / "mounted"
    texts = {
        "settings.json": json.dumps(settings),
        "groups.json": json.dumps({**found, "groups": groups}),
        "results/password": "unused",
        **broker.secrets,
    }
    for name, text in texts.items():
        (mounted / name).parent.mkdir(parents=True, exist_ok=True)
        (mounted / name).write_text(text)
    return mounted


def _declare(mounted: Path) -> None:
    """Make the queues, as the first worker would."""
    os.environ["CELERY_RUNTIME_DIR"] = str(mounted)
    app = Celery("declares", set_as_current=False)
    configure(app)
    with app.connection_for_write() as connection, connection.channel() as channel:
        queues = list(app.amqp.queues.values())
        for queue in (*queues, *dead_letter_queues(queues)):
            queue(channel).declare()
    app.close()


if __name__ == "__main__":
    main()
