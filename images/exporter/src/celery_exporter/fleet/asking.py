"""One question to one worker, bounded in time and size whatever answers."""

import socket
import time

ANSWER_SECONDS = 1.0
#: A thousand names with both histograms, and a thousand running tasks, are half of it.
MAX_BYTES = 2 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
OK = b"200"


class UnansweredError(Exception):
    """There was no answer, or none that is a worker's."""


def ask(address: str, port: int, *, after: int) -> bytes:
    """The page /work of a worker, with the tasks that have ended after that number.

    Raises:
        UnansweredError: there is none.

    """
    try:
        return _body(_answer(address, port, f"/work?after={after}"))
    except OSError as error:
        raise UnansweredError(f"{error!r}") from error


def _answer(address: str, port: int, path: str) -> bytes:
    deadline = time.monotonic() + ANSWER_SECONDS
    received = bytearray()
    # HTTP/1.0: the end of the connection is the end of the answer.
    with socket.create_connection((address, port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        while chunk := connection.recv(CHUNK_BYTES):
            received += chunk
            if len(received) > MAX_BYTES:
                raise UnansweredError(f"more than {MAX_BYTES} bytes")
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise UnansweredError(f"it took longer than {ANSWER_SECONDS} s")
            connection.settimeout(left_seconds)
    return bytes(received)


def _body(answer: bytes) -> bytes:
    head, separator, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if not separator or len(status) < 2 or status[1] != OK:
        line = head.split(b"\r\n", 1)[0][:100]
        raise UnansweredError(f"{line!r} instead of HTTP/1.0 200: an older celery-runtime?")
    return body
