"""From the mounted directory to a process that watches and answers."""

import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping

from celery import Celery

from celery_exporter import broker, groups, options, page, roster
from celery_exporter.autoscaling import Autoscaling
from celery_exporter.events.pump import Source
from celery_exporter.events.rabbitmq import RabbitEvents
from celery_exporter.events.redis import RedisEvents
from celery_exporter.fleet.reading import Fleet
from celery_exporter.monitor import Monitor
from celery_exporter.options import Options
from celery_exporter.scaling import Board
from celery_exporter.scaling.inflow import OUTAGE_SECONDS
from celery_exporter.state.counting import State
from celery_runtime import configure
from celery_runtime.errors import CeleryRuntimeError, PortTakenError, SettingsError
from celery_runtime.health.server import Page, Server
from celery_runtime.logs import console
from celery_runtime.settings.configuration import directory
from celery_runtime.settings.credentials import read_text
from celery_runtime.settings.parsing import parse

#: Events and remote control need a broker that can tell everyone; SQS cannot.
SOURCES: dict[str, Callable[[Celery], Source]] = {
    broker.REDIS: RedisEvents,
    broker.RABBITMQ: RabbitEvents,
}

#: A broker that was not read for so long has been away.
OUTAGE_INTERVALS = 2

logger = logging.getLogger("celery_exporter")


class Exporter:
    """The threads of one process."""

    def __init__(
        self,
        app: Celery,
        chosen: Options,
        *,
        max_task_seconds: int | None,
        scaling: Autoscaling | None = None,
    ) -> None:
        self._app = app
        self._kind = broker.kind_of(app)
        self._stopping = threading.Event()
        self._scaling = scaling
        # What becomes of tasks comes from one of them: from both, each would count twice.
        tallies = scaling is not None and chosen.tasks_from == options.WORKERS
        source = None if tallies else SOURCES.get(self._kind)
        board = scaling.board if scaling else Board([], dead_letters=_dead_letters(app))
        self.monitor = Monitor(
            State(
                default_queue=app.conf.task_default_queue,
                per_worker=chosen.per_worker,
                max_task_seconds=max_task_seconds,
            ),
            broker.broker_of(app, self._kind, management_url=chosen.management_url),
            board,
            source=source(app) if source else None,
        )
        if scaling is not None and tallies:
            scaling.sink = self.monitor.tally
        self._server = _server(
            self.monitor, chosen.port, {"/metrics": self._metrics, **page.pages(board.overview)}
        )

    @property
    def port(self) -> int:
        """The port that is answered on."""
        return self._server.port

    def start(self) -> None:
        """Answer, and begin to watch."""
        self._server.start()
        self._repeat(self._read_broker, self._broker_seconds)
        if self._scaling is not None:
            self._scaling.start(self._repeat)
        if self.monitor.pump is not None:
            threading.Thread(target=self.monitor.pump.run, name="events", daemon=True).start()
            if self._app.conf.worker_enable_remote_control:
                self._repeat(self._ask_workers, lambda: roster.INTERVAL_SECONDS)
        logger.info("Answering on port %d.", self.port)

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self.monitor.pump is not None:
            self.monitor.pump.stop()
        if self._scaling is not None:
            self._scaling.stop()

    def wait(self) -> None:
        """Return after `stop`."""
        self._stopping.wait()

    def _metrics(self) -> Iterator[str]:
        yield from self.monitor.page()
        if self._scaling is not None:
            yield self._scaling.page()

    def _read_broker(self) -> None:
        self.monitor.read_broker(all_every_seconds=broker.INTERVAL_SECONDS[self._kind])

    def _broker_seconds(self) -> float:
        seconds = broker.INTERVAL_SECONDS if self._scaling is None else broker.SCALING_SECONDS
        return seconds[self._kind]

    def _ask_workers(self) -> None:
        self.monitor.ask_workers(lambda: roster.ask(self._app))

    def _repeat(self, do: Callable[[], None], interval_seconds: Callable[[], float]) -> None:
        def loop() -> None:
            do()
            while not self._stopping.wait(interval_seconds()):
                do()

        threading.Thread(target=loop, name=do.__name__, daemon=True).start()


def make(chosen: Options) -> Exporter:
    """The exporter of the mounted settings.

    Raises:
        CeleryRuntimeError: they cannot be used, or the port cannot be listened on.

    """
    text = read_text(directory() / "settings.json")
    if text is None:
        raise SettingsError(
            f"There is no settings.json in {directory()}. Mount the directory that the workers "
            "have, or set CELERY_RUNTIME_DIR."
        )
    app = Celery("exporter", set_as_current=False)
    configure(app)
    return Exporter(
        app,
        chosen,
        max_task_seconds=parse(json.loads(text)).max_task_seconds,
        scaling=_autoscaling(app, chosen),
    )


def main() -> None:
    """Run until SIGTERM."""
    console.install()
    logging.getLogger().setLevel(logging.INFO)
    # It would tell of each question to Kubernetes: one every other second.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        exporter = make(options.read())
    except CeleryRuntimeError as error:
        console.exit_at_start(error)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: exporter.stop())
    exporter.start()
    exporter.wait()


def _autoscaling(app: Celery, chosen: Options) -> Autoscaling | None:
    """What scales the groups that are mounted; None where there are none."""
    known = groups.load(directory())
    if not known.by_name:
        return None
    seconds = broker.SCALING_SECONDS[broker.kind_of(app)]
    return Autoscaling(
        known,
        Fleet(known),
        chosen,
        dead_letters=_dead_letters(app),
        outage_seconds=max(OUTAGE_SECONDS, OUTAGE_INTERVALS * seconds),
    )


def _dead_letters(app: Celery) -> Mapping[str, str]:
    """Each queue's dead-letter queue, by their names."""
    pairs = ((queue, getattr(queue, "dead_letters", None)) for queue in app.conf.task_queues)
    return {queue.name: dead.name for queue, dead in pairs if dead}


def _server(monitor: Monitor, port: int, pages: Mapping[str, Page]) -> Server:
    try:
        return Server(monitor, port=port, pages=pages)
    except PortTakenError as error:
        raise PortTakenError(
            f"Port {port} cannot be listened on. Free it, or set {options.PORT_VARIABLE}."
        ) from error
