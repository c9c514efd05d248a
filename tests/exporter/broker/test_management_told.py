"""What RabbitMQ's management API tells of queues, and what it leaves out."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from celery_exporter.broker.management import Management, Told


class Api(HTTPServer):
    """Answers every question with the same."""

    body: Any = None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Api)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def ask(api: Api) -> dict[str, Told]:
    management = Management(f"http://127.0.0.1:{api.server_port}")
    return dict(management.queues("/", username="celery", password="secret"))


def test_a_quorum_queue_holds_dead_letters_and_has_copies_some_of_them_away(api: Api) -> None:
    nodes = ["rabbit@0", "rabbit@1", "rabbit@2"]
    told = {"messages_unacknowledged": 3, "messages_dlx": 1}
    quorum = told | {"members": nodes, "online": nodes[:2]}
    api.body = [{"name": "email", **quorum}]
    assert ask(api) == {"email": Told(unacked=3, held_dead=1, members=3, online_members=2)}


def test_what_is_not_told_is_not_known(api: Api) -> None:
    api.body = [{"name": "new"}, {"name": "classic", "messages_unacknowledged": 0}]
    assert ask(api) == {"new": Told(), "classic": Told(unacked=0)}


@pytest.mark.parametrize("body", [{"error": "x"}, [{"members": []}], [{"name": "a", "online": 3}]])
def test_an_answer_of_another_shape_is_an_error(api: Api, body: object) -> None:
    api.body = body
    with pytest.raises(OSError, match="answers something else"):
        ask(api)
