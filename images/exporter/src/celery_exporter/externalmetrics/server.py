"""HTTPS, for the API server alone."""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from celery_exporter.externalmetrics import api
from celery_exporter.externalmetrics.proxy import FrontProxy
from celery_runtime.errors import PortTakenError, SettingsError

#: Of one request, and of one connection that is kept open for the next.
CLIENT_SECONDS = 120
HANDSHAKE_SECONDS = 10
#: An API server opens a handful; threads are what a stranger could use up.
MOST_CONNECTIONS = 100
RETRY_SECONDS = 0.1
#: How long what is known of the front proxy is taken for true.
PROXY_SECONDS = 300

Look = Callable[[], api.View]
AskProxy = Callable[[], FrontProxy]

logger = logging.getLogger(__name__)


class Server:
    """Answers in a thread for each connection."""

    def __init__(
        self,
        look: Look,
        ask_proxy: AskProxy,
        *,
        namespace: str,
        port: int,
        tls_directory: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._namespace = namespace
        self._door = _Door(tls_directory, ask_proxy, clock=clock)
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._stopping = False
        self._socket = _listen(port)

    @property
    def port(self) -> int:
        """The port that is answered on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._accept, name="external metrics", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._stopping = True
        # A thread that waits for a connection does not hear that the socket is closed.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, address = self._socket.accept()
            except OSError:
                time.sleep(RETRY_SECONDS)
                continue
            if not self._room.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._answer, args=(connection, address), daemon=True).start()

    def _answer(self, connection: socket.socket, address: object) -> None:
        try:
            with connection:
                connection.settimeout(HANDSHAKE_SECONDS)
                secured, proxy = self._door.open(connection)
                with secured:
                    _Request(secured, address, self._look, proxy, self._namespace)
        except OSError as error:  # ssl's are such, too
            logger.debug("A connection from %s has ended: %s", address, error)
        finally:
            self._room.release()


class _Door:
    """The TLS of each new connection, with the certificates as they are then."""

    def __init__(self, directory: Path, ask_proxy: AskProxy, *, clock: Callable[[], float]) -> None:
        self._files = (directory / "tls.crt", directory / "tls.key")
        self._ask_proxy = ask_proxy
        self._clock = clock
        self._lock = threading.Lock()
        self._proxy: FrontProxy | None = None
        self._asked_at = 0.0
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*self._files)
        except OSError as error:
            raise SettingsError(
                f"The certificate of the external metrics cannot be read: {error}. "
                "CELERY_EXPORTER_API_TLS_DIR has to hold tls.crt and tls.key."
            ) from error

    def open(self, connection: socket.socket) -> tuple[ssl.SSLSocket, FrontProxy]:
        """Shake hands; raises OSError where the other side may not come in."""
        proxy = self._known_proxy()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=proxy.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        # How strict the cluster's authority was is not ours to choose.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(*self._files)
        return context.wrap_socket(connection, server_side=True), proxy

    def _known_proxy(self) -> FrontProxy:
        with self._lock:
            now = self._clock()
            if self._proxy is None or now - self._asked_at >= PROXY_SECONDS:
                self._refresh(now)
            if self._proxy is None:
                raise ConnectionRefusedError("It is not known who the front proxy is.")
            return self._proxy

    def _refresh(self, now: float) -> None:
        try:
            self._proxy, self._asked_at = self._ask_proxy(), now
        except Exception as error:  # Kubernetes' client has many; what was true may still be
            logger.warning("It cannot be asked who may read external metrics: %r", error)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_SECONDS
    server_version = "celery-exporter"
    sys_version = ""

    def __init__(
        self,
        connection: ssl.SSLSocket,
        address: object,
        look: Look,
        proxy: FrontProxy,
        namespace: str,
    ) -> None:
        self._look = look
        self._namespace = namespace
        self._admitted = proxy.admits(connection.getpeercert())
        super().__init__(connection, address, None)  # type: ignore[arg-type]  # no server behind it

    def do_GET(self) -> None:
        if not self._admitted:
            self._send(
                api.refusal(HTTPStatus.FORBIDDEN, "Only the API server's front proxy may ask.")
            )
            return
        self._send(api.answer(self.path, self._look(), namespace=self._namespace, now=time.time()))

    def log_message(self, *_: object) -> None:
        """A line for each question of each HPA would drown the rest."""

    def _send(self, answer: api.Answer) -> None:
        body = json.dumps(answer.document).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _listen(port: int) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise PortTakenError(
            f"The external metrics cannot listen on port {port}: {error}. Free it, or set "
            "CELERY_EXPORTER_API_PORT."
        ) from error
