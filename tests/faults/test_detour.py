"""The slow way to the broker, as its process runs in the shop's pod."""

import socket
import subprocess
import sys
import time

from tests.faults.strikes.network import DETOUR
from tests.runtime.conftest import free_port

SECONDS = 2.0


def test_it_carries_slowly_and_breaks_what_it_carries_at_its_end() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.2", 5672)) as broker:
        began = time.monotonic()
        words = (DETOUR, "127.0.0.2", str(port), str(SECONDS))
        with subprocess.Popen([sys.executable, *words]) as detour:
            client = _connect(port)
            there, _ = broker.accept()
            client.sendall(b"ping")
            asked = time.monotonic()
            assert there.recv(4) == b"ping"
            assert time.monotonic() - asked > 0.25
            assert client.recv(1) == b""
            assert detour.wait(timeout=5) == 0
            assert SECONDS < time.monotonic() - began < SECONDS + 3
        client.close()
        there.close()


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
