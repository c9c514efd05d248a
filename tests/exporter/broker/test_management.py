"""RabbitMQ's management API by TLS."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from celery_exporter.broker.management import Management, Told
from tests.certificates import Authority


class Api(BaseHTTPRequestHandler):
    """Tells of one queue."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'[{"name": "default", "messages_unacknowledged": 3}]')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """One that the system does not know; it has signed what the API shows."""
    authority = Authority()
    authority.signed("rabbitmq").write(tmp_path)
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.certificate)
    return file


@pytest.fixture
def url(authority: Path) -> Iterator[str]:
    """The API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.with_name("tls.crt"), authority.with_name("tls.key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


def test_it_is_asked_where_its_authority_is_trusted(url: str, authority: Path) -> None:
    api = Management(url, ca_file=str(authority))
    assert api.queues("/", username="celery", password="secret") == {"default": Told(unacked=3)}


def test_it_is_told_no_password_where_nobody_knows_its_authority(url: str) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        Management(url).queues("/", username="celery", password="secret")
