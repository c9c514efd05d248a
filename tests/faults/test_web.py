"""Who sends to the shop from outside, while its pods come and go."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ci.steps import Problem
from tests.cluster import web
from tests.cluster.forward import Forward

BODY = b'{"task_ids": []}'


class Ways(Forward):
    """One way after the other, as each is closed."""

    def __init__(self, *ports: int) -> None:
        self.ports = list(ports)

    @property
    def port(self) -> int:
        return self.ports[0]

    def close(self) -> None:
        self.ports.pop(0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port that takes a request and never answers."""
    monkeypatch.setattr(web, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_way_that_is_silent_is_left_for_another(silent: int) -> None:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert web.Web(Ways(silent, server.server_port)).post("/holds", {}) == {"task_ids": []}
        server.shutdown()


def test_silence_on_every_way_is_a_problem(silent: int) -> None:
    with pytest.raises(Problem, match="does not answer"):
        web.Web(Ways(silent, silent)).post("/holds", {})
