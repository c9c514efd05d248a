"""From the mounted directory to a process that watches and answers."""

import json
import logging
import signal
import threading
from collections.abc import Callable

from celery import Celery

from celery_exporter import broker, options, roster
from celery_exporter.events.pump import Source
from celery_exporter.events.rabbitmq import RabbitEvents
from celery_exporter.events.redis import RedisEvents
from celery_exporter.monitor import Monitor, queues_with_dead_letters
from celery_exporter.options import Options
from celery_exporter.state.counting import State
from celery_runtime import configure
from celery_runtime.errors import CeleryRuntimeError, PortTakenError, SettingsError
from celery_runtime.health.server import Server
from celery_runtime.logs import console
from celery_runtime.settings.configuration import directory
from celery_runtime.settings.credentials import read_text
from celery_runtime.settings.parsing import parse

#: Events and remote control need a broker that can tell everyone; SQS cannot.
SOURCES: dict[str, Callable[[Celery], Source]] = {
    broker.REDIS: RedisEvents,
    broker.RABBITMQ: RabbitEvents,
}

logger = logging.getLogger("celery_exporter")


class Exporter:
    """The threads of one process."""

    def __init__(self, app: Celery, chosen: Options, *, max_task_seconds: int | None) -> None:
        self._app = app
        self._kind = broker.kind_of(app)
        self._stopping = threading.Event()
        source = SOURCES.get(self._kind)
        self.monitor = Monitor(
            State(
                default_queue=app.conf.task_default_queue,
                per_worker=chosen.per_worker,
                max_task_seconds=max_task_seconds,
            ),
            broker.broker_of(app, self._kind, management_url=chosen.management_url),
            dead_letters=queues_with_dead_letters(app.conf.task_queues),
            source=source(app) if source else None,
        )
        self._server = _server(self.monitor, chosen.port)

    @property
    def port(self) -> int:
        """The port that is answered on."""
        return self._server.port

    def start(self) -> None:
        """Answer, and begin to watch."""
        self._server.start()
        self._repeat(self.monitor.read_broker, broker.INTERVAL_SECONDS[self._kind])
        if self.monitor.pump is not None:
            threading.Thread(target=self.monitor.pump.run, name="events", daemon=True).start()
            if self._app.conf.worker_enable_remote_control:
                self._repeat(self._ask_workers, roster.INTERVAL_SECONDS)
        logger.info("Answering on port %d.", self.port)

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self.monitor.pump is not None:
            self.monitor.pump.stop()

    def wait(self) -> None:
        """Return after `stop`."""
        self._stopping.wait()

    def _ask_workers(self) -> None:
        self.monitor.ask_workers(lambda: roster.ask(self._app))

    def _repeat(self, do: Callable[[], None], interval_seconds: float) -> None:
        def loop() -> None:
            do()
            while not self._stopping.wait(interval_seconds):
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
    return Exporter(app, chosen, max_task_seconds=parse(json.loads(text)).max_task_seconds)


def main() -> None:
    """Run until SIGTERM."""
    console.install()
    logging.getLogger().setLevel(logging.INFO)
    try:
        exporter = make(options.read())
    except CeleryRuntimeError as error:
        console.exit_at_start(error)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: exporter.stop())
    exporter.start()
    exporter.wait()


def _server(monitor: Monitor, port: int) -> Server:
    try:
        return Server(monitor, port=port, pages={"/metrics": monitor.page})
    except PortTakenError as error:
        raise PortTakenError(
            f"Port {port} cannot be listened on. Free it, or set {options.PORT_VARIABLE}."
        ) from error
