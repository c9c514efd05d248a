"""What the probes read: /live and /ready over HTTP, at the price of no message and no process."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from celery import signals

from celery_runtime.errors import PortTakenError
from celery_runtime.health.probes import Probes

PORT_VARIABLE = "CELERY_RUNTIME_HEALTH_PORT"
DEFAULT_PORT = 8080

CLIENT_TIMEOUT_SECONDS = 5
ACCEPT_RETRY_SECONDS = 0.1

TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True)
class Response:
    """What a page answers that is not plain text, or that a browser is told more about."""

    kind: str
    #: A text; or its parts, which are sent as they are made.
    body: str | Iterator[str]
    headers: Mapping[str, str] = field(default_factory=dict)


#: What is no Response is plain text, as Prometheus reads it.
Made = str | Iterator[str] | Response
#: What is made when it is asked for.
Page = Callable[[], Made]
#: JSON that is made when it is asked for, by what stands behind the question mark.
Document = Callable[[Mapping[str, str]], str]


class Server:
    """Answers GET /live, GET /ready and its pages in a daemon thread (under gevent: a greenlet)."""

    def __init__(
        self,
        probes: Probes,
        *,
        port: int,
        pages: Mapping[str, Page] = MappingProxyType({}),
        documents: Mapping[str, Document] = MappingProxyType({}),
    ) -> None:
        self._probes = probes
        self._pages = pages
        self._documents = documents
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
            _Request(connection, address, self._probes, self._pages, self._documents)

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
        documents: Mapping[str, Document],
    ) -> None:
        self._pages = pages
        self._documents = documents
        self._asked = {"/live": probes.live, "/ready": probes.ready}
        super().__init__(connection, address, None)  # type: ignore[arg-type]  # no server behind it

    def do_GET(self) -> None:
        if page := self._pages.get(self.path):
            made = page()
            self._write(200, made if isinstance(made, Response) else Response(TEXT, made))
            return
        path, _, question = self.path.partition("?")
        if document := self._documents.get(path):
            text = document(dict(parse_qsl(question)))
            self._write(200, Response(JSON, f"{text}\n"))
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
        self._write(status, Response(JSON, json.dumps(answer) + "\n"))

    def _write(self, status: int, response: Response) -> None:
        body = response.body
        if not isinstance(body, str) and self.request_version == "HTTP/1.0":  # it knows no parts
            body = "".join(body)
        if isinstance(body, str):
            encoded = body.encode()
            self._head(status, response, {"Content-Length": str(len(encoded))})
            self.wfile.write(encoded)
        else:
            self.protocol_version = "HTTP/1.1"
            self._head(status, response, {"Transfer-Encoding": "chunked", "Connection": "close"})
            self._write_parts(body)

    def _head(self, status: int, response: Response, framing: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", response.kind)
        for name, value in {**framing, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write_parts(self, parts: Iterator[str]) -> None:
        for body in filter(None, map(str.encode, parts)):  # an empty one would be the end
            self.wfile.write(b"%x\r\n" % len(body))
            self.wfile.write(body)
            self.wfile.write(b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def serve(
    probes: Probes,
    *,
    pages: Mapping[str, Page] = MappingProxyType({}),
    documents: Mapping[str, Document] = MappingProxyType({}),
) -> Server:
    """Answer probes and pages from now on, on the port that the environment names.

    Raises:
        PortTakenError: it cannot be listened on.

    """
    port = int(os.environ.get(PORT_VARIABLE) or DEFAULT_PORT)
    server = Server(probes, port=port, pages=pages, documents=documents)
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
