"""A Redis of the tests' own, on a loopback port, that can be stopped and started again."""

import shutil
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.runtime.processes import freeze, thaw

DEADLINE_SECONDS = 20


class RedisServer:
    """redis-server, which keeps what it was told over a stop."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail(
                "redis-server is missing: apt-get install --no-install-recommends redis-server"
            )
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "no"]
        self._process = subprocess.Popen(
            [binary, *options, "--dir", str(self._directory)], stdout=subprocess.DEVNULL
        )
        self._wait()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=DEADLINE_SECONDS)
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=DEADLINE_SECONDS)
            self._process = None

    def pause(self) -> None:
        """Make it silent without closing a connection."""
        if self._process is not None:
            freeze(self._process.pid)

    def resume(self) -> None:
        """End the silence."""
        if self._process is not None:
            thaw(self._process.pid)

    def length(self, key: str) -> int:
        with closing(Redis.from_url(self.url)) as client:
            return int(client.llen(key))

    def _wait(self) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with closing(Redis.from_url(self.url)) as client:
            while True:
                try:
                    client.ping()
                except RedisConnectionError:
                    assert time.monotonic() < deadline, f"nothing answers at {self.url}"
                    time.sleep(0.05)
                else:
                    return
