"""Workers that answer as the runtime does: its own server, its own page."""

from types import SimpleNamespace

from celery import Celery
from celery.app.amqp import Queue

from celery_runtime.health.probes import Verdict
from celery_runtime.health.server import Server
from celery_runtime.health.tally import Tally
from celery_runtime.health.work import PATH, WorkPage


class FakeWorker:
    """A worker without tasks, whose counters are moved by hand."""

    def __init__(self, name: str, *, slots: int = 4) -> None:
        self.tally = Tally()
        self.is_draining = False
        app = Celery("fake", broker="memory://", set_as_current=False)
        app.conf.task_queues = [Queue("default"), Queue("email")]
        worker = SimpleNamespace(
            hostname=f"io@{name}", app=app, pool=SimpleNamespace(num_processes=slots)
        )
        self._page = WorkPage(worker, self, tally=self.tally)
        self._server = Server(self, port=0, documents={PATH: lambda asked: self._page(asked)})
        self._server.start()
        self.port = self._server.port

    def restart(self) -> None:
        """Another process, whose counters begin anew."""
        self.tally = self._page._tally = Tally()

    def work(self, name: str = "shop.email", queue: str = "email", *, seconds: float = 1.0) -> None:
        """One task that succeeds."""
        self.tally.fetched(queue)
        life = self.tally.begin(name, queue)
        self.tally.received(life)
        self.tally.started(life, wait_seconds=0.2)
        self.tally.ended(life, "succeeded", ran_seconds=seconds)
        self.tally.succeeded(life, runtime_seconds=seconds)

    def fail(self, exception: str, *, name: str = "shop.email", queue: str = "email") -> None:
        """One task that fails."""
        life = self.tally.begin(name, queue)
        self.tally.received(life)
        self.tally.started(life, wait_seconds=None)
        self.tally.ended(life, "failed", ran_seconds=1)
        self.tally.raised(life, exception)

    def draining(self) -> bool:
        return self.is_draining

    def running(self) -> int:
        return 0

    def live(self) -> Verdict:
        return Verdict(True, "consuming")

    ready = live
