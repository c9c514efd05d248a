"""What the probes read: /live and /ready over HTTP, at the price of no message and no process."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import Any

from celery import signals

from celery_runtime.errors import PortTakenError
from celery_runtime.health.probes import Probes

PORT_VARIABLE = "CELERY_RUNTIME_HEALTH_PORT"
DEFAULT_PORT = 8080

CLIENT_TIMEOUT_SECONDS = 5
ACCEPT_RETRY_SECONDS = 0.1

#: A text that is made when it is asked for; or its parts, which are sent as they are made.
Page = Callable[[], str | Iterator[str]]


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
    #: Small parts of a page go together.
    wbufsize = 64 * 1024
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
            self._write_page(page())
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

    def _write_page(self, page: str | Iterator[str]) -> None:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        if isinstance(page, str):
            self._write(200, kind, page)
        elif self.request_version == "HTTP/1.0":  # it knows no parts
            self._write(200, kind, "".join(page))
        else:
            self._write_parts(kind, page)

    def _write_parts(self, kind: str, parts: Iterator[str]) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for body in filter(None, map(str.encode, parts)):  # an empty one would be the end
            self.wfile.write(b"%x\r\n" % len(body))
            self.wfile.write(body)
            self.wfile.write(b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _write(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


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
