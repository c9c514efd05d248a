"""A question to whoever listens on a worker's port."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from celery_exporter.fleet import asking
from celery_exporter.fleet.asking import UnansweredError, ask


@pytest.fixture
def port() -> Iterator[int]:
    """A port that accepts, and sends a byte every now and then, for ever."""
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


def test_who_answers_in_drops_is_given_up(port: int) -> None:
    before = time.monotonic()
    with pytest.raises(UnansweredError, match=r"longer than 1\.0 s|timed out"):
        ask("127.0.0.1", port, after=0)
    assert time.monotonic() - before < asking.ANSWER_SECONDS + 5


def test_who_says_nothing_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnansweredError, match="timed out"),
    ):
        ask("127.0.0.1", silent.getsockname()[1], after=0)


def test_who_is_not_there_does_not_answer() -> None:
    with pytest.raises(UnansweredError, match="refused"):
        ask("127.0.0.1", 1, after=0)
    with pytest.raises(UnansweredError):
        ask("not an address", 1, after=0)
