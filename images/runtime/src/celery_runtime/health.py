"""What the probes read: /live and /ready over HTTP, at the price of no message and no process."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from celery import bootsteps, signals

from celery_runtime.errors import PortTakenError

if TYPE_CHECKING:
    from celery.worker import WorkController
    from celery.worker.consumer import Consumer

PORT_VARIABLE = "CELERY_RUNTIME_HEALTH_PORT"
DEFAULT_PORT = 8080

#: A healthy loop answers within 2 s (gevent) or at once (the others); a fork or a slow reconnect
#: may take some more. A loop that is silent for this long is stuck.
STUCK_AFTER_SECONDS = 60
CLIENT_TIMEOUT_SECONDS = 5
ACCEPT_RETRY_SECONDS = 0.1

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
#: A text that is made when it is asked for.
Page = Callable[[], str]


@dataclass(frozen=True)
class Verdict:
    """The answer to a probe."""

    ok: bool
    reason: str


class Probes(Protocol):
    """Whatever can be asked whether it lives and whether it works."""

    def live(self) -> Verdict:
        """False only where a restart of the process would mend it."""

    def ready(self) -> Verdict:
        """True while it does its work."""


class LoopSign:
    """Whether a loop turns, learnt by handing it a callback and waiting for the call.

    `Consumer.call_soon` takes one in every pool: Celery's event loop and its blocking loop
    (gevent, eventlet) both run it in their next turn. Nothing runs between two questions.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Clock) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._asked_at: float | None = None
        self.has_turned = False
        self.ask()

    def ask(self) -> float:
        """How many seconds the last question has been open; asks a new one when none is."""
        asked_at = self._asked_at
        if asked_at is not None:
            return self._clock() - asked_at
        self._asked_at = self._clock()
        self._call_soon(self._answer)
        return 0.0

    def _answer(self) -> None:
        self.has_turned = True
        self._asked_at = None


class WorkerProbes:
    """Live: the consumer loop turns, or waits for the broker. Ready: it consumes."""

    def __init__(
        self, *, draining: Callable[[], bool] | None = None, clock: Clock = time.monotonic
    ) -> None:
        self._draining = draining or _told_to_stop
        self._clock = clock
        self._loop: LoopSign | None = None
        self._slots_taken: Callable[[], bool] = bool

    def connected(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        slots_taken: Callable[[], bool],
    ) -> None:
        """The broker is there and the loop is about to run."""
        self._slots_taken = slots_taken
        self._loop = LoopSign(call_soon, self._clock)

    def disconnected(self) -> None:
        """The broker is gone, or the worker stops: no loop runs."""
        self._loop = None

    def live(self) -> Verdict:
        """False when the loop is stuck; a broker that is away is nothing a restart could mend."""
        if self._draining():
            return Verdict(True, "shutting down")
        if self._loop is None:
            return Verdict(True, "waiting for the broker")
        silent_seconds = self._loop.ask()
        if silent_seconds <= STUCK_AFTER_SECONDS:
            return Verdict(True, "the consumer loop turns")
        # Where tasks run in the loop's own thread, a full pool holds the loop up rightly.
        if self._slots_taken():
            return Verdict(True, "every slot is taken")
        return Verdict(False, f"the consumer loop has been stuck for {silent_seconds:.0f} s")

    def ready(self) -> Verdict:
        """True from the loop's first turn until the connection or the worker ends."""
        if self._draining():
            return Verdict(False, "shutting down")
        loop = self._loop
        if loop is None:
            return Verdict(False, "waiting for the broker")
        if not loop.has_turned:
            return Verdict(False, "connected, about to consume")
        live = self.live()
        return Verdict(True, "consuming") if live.ok else live


class Server:
    """Answers GET /live, GET /ready and its pages in a daemon thread (under gevent: a greenlet)."""

    def __init__(
        self, probes: Probes, *, port: int, pages: Mapping[str, Page] = MappingProxyType({})
    ) -> None:
        self._probes = probes
        self._pages = pages
        self._pid = os.getpid()
        self._socket = _listen(port)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._accept, name="probes", daemon=True).start()
        # Only the main process answers for the worker. Children that the pool forks later would
        # keep the port taken after its death.
        signals.worker_process_init.connect(self._close_in_child, weak=False)

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
                # One thread each: a client that connects and says nothing delays nobody.
                threading.Thread(
                    target=self._answer, args=(connection, address), daemon=True
                ).start()
            except (OSError, RuntimeError):  # no descriptor or no thread left: it may pass
                time.sleep(ACCEPT_RETRY_SECONDS)

    def _answer(self, connection: socket.socket, address: object) -> None:
        with suppress(OSError), connection:
            _Request(connection, address, self._probes, self._pages)

    def _close_in_child(self, **_: object) -> None:
        if os.getpid() != self._pid:
            self._socket.close()


class _Request(BaseHTTPRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server_version = "celery-runtime"
    sys_version = ""

    def __init__(
        self,
        connection: socket.socket,
        address: object,
        probes: Probes,
        pages: Mapping[str, Page],
    ) -> None:
        self._pages = pages
        self._asked = {"/live": probes.live, "/ready": probes.ready}
        super().__init__(connection, address, None)  # type: ignore[arg-type]  # no server behind it

    def do_GET(self) -> None:
        if page := self._pages.get(self.path):
            self._write(200, "text/plain; version=0.0.4; charset=utf-8", page())
            return
        ask = self._asked.get(self.path)
        if ask is None:
            self._send(404, {"ok": False, "reason": "ask for /live or /ready"})
            return
        verdict = ask()
        self._send(200 if verdict.ok else 503, {"ok": verdict.ok, "reason": verdict.reason})

    def log_message(self, *_: object) -> None:
        """A line for each probe would drown the rest."""

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        self._write(status, "application/json", json.dumps(answer) + "\n")

    def _write(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ProbeServer(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Serves the probes from the main process of a worker.

    It starts after the pool, so that the first children never see the socket, and before the
    consumer, which waits for the broker. It is never stopped: a worker that drains still answers.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: "WorkController", **options: object) -> None:
        worker.probes = WorkerProbes()
        super().__init__(worker, **options)

    def start(self, worker: "WorkController") -> None:
        serve(worker.probes)

    def close(self, worker: "WorkController") -> None:  # noqa: ARG002 # celery passes it
        from celery.worker import state

        logger.info("Shutting down: %d tasks to finish", len(state.active_requests))

    def stop(self, worker: "WorkController") -> None:
        """Nothing to stop: the thread ends with the process."""

    terminate = stop


class ConsumerSigns(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Tells the probes when the consumer has the broker and when it has lost it."""

    # Last before the loop: what is slow or fails on the way is "waiting for the broker".
    requires = (
        "celery.worker.consumer.tasks:Tasks",
        "celery.worker.consumer.delayed_delivery:DelayedDelivery",
        "celery_runtime.queues:DeadLetters",
    )

    def start(self, consumer: "Consumer") -> None:
        consumer.controller.probes.connected(consumer.call_soon, lambda: _slots_taken(consumer))

    def stop(self, consumer: "Consumer") -> None:
        consumer.controller.probes.disconnected()


def serve(probes: Probes, *, pages: Mapping[str, Page] = MappingProxyType({})) -> Server:
    """Answer probes and pages from now on, on the port that the environment names.

    Raises:
        PortTakenError: it cannot be listened on.

    """
    port = int(os.environ.get(PORT_VARIABLE) or DEFAULT_PORT)
    server = Server(probes, port=port, pages=pages)
    server.start()
    return server


def _listen(port: int) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise PortTakenError(
            f"The probes cannot listen on port {port}: {error}. Free it, or set {PORT_VARIABLE}."
        ) from error


def _told_to_stop() -> bool:
    from celery.worker import state

    # Exit code 0 is a reason to stop like any other, and equal to False.
    return any(
        flag is not None and flag is not False
        for flag in (state.should_stop, state.should_terminate)
    )


def _slots_taken(consumer: "Consumer") -> bool:
    from celery.concurrency import solo
    from celery.worker import state

    pool = consumer.pool
    in_loop = getattr(pool, "is_green", False) or isinstance(pool, solo.TaskPool)
    return in_loop and len(state.active_requests) >= pool.num_processes
