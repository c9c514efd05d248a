"""The gRPC server: a thread with an event loop, so that a stream costs no thread."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from grpc import aio

from celery_exporter.scaler import service, tls
from celery_exporter.scaling import Board
from celery_runtime.errors import PortTakenError

START_SECONDS = 10.0
STOP_SECONDS = 1.0
#: A client whose node is gone says no goodbye; its streams end after these two.
KEEPALIVE_SECONDS = 30
ANSWER_SECONDS = 10
OPTIONS = [
    # A second exporter is to be told that the port is taken, not to get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", ANSWER_SECONDS * 1000),
]


class _Changes:
    """The board's changes, within the event loop."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def upcoming(self) -> asyncio.Event:
        """The next change, counted from this call and not from when it is waited for."""
        return self._next

    def happen(self) -> None:
        """Let everyone go on who waits now."""
        self._next.set()
        self._next = asyncio.Event()


class Scaler:
    """Answers KEDA on a port, with TLS where a directory of certificates is given."""

    def __init__(self, board: Board, *, port: int, tls_directory: Path | None = None) -> None:
        self._board = board
        self._credentials = tls.credentials(tls_directory) if tls_directory else None
        self._changes = _Changes()
        self._service = service.Service(board, self._changes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="scaler", daemon=True)
        #: The port that is answered on, once it is.
        self.port = port

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._service.streams

    def start(self) -> None:
        """Begin to answer.

        Raises:
            PortTakenError: the port cannot be listened on.

        """
        self._thread.start()
        self._started.wait(START_SECONDS)
        if self._error is not None:
            raise self._error
        self._board.listen(lambda: self._call(self._changes.happen))

    def stop(self) -> None:
        """Answer no more."""
        self._call(self._stopping.set)
        self._thread.join(START_SECONDS)

    def _call(self, do: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(do)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # told to whoever starts it
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((service.handler(self._service),))
        self.port = self._listen(server)
        await server.start()
        self._started.set()
        await self._stopping.wait()
        await server.stop(STOP_SECONDS)

    def _listen(self, server: aio.Server) -> int:
        where = f"[::]:{self.port}"
        try:
            if self._credentials is None:
                return server.add_insecure_port(where)
            return server.add_secure_port(where, self._credentials)
        except RuntimeError as error:
            raise PortTakenError(
                f"The scaler cannot listen on port {self.port}: {error}. Free it, or set "
                "CELERY_EXPORTER_SCALER_PORT."
            ) from error
