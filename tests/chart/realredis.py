"""A redis-server on this machine with the configuration and the users that a rendering gives it."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Release

#: Everything that a URL, a shell or a configuration file could trip over.
PASSWORD = "p@ss \"'$(id)\\%w/:rd?#%+ é"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass
class Started:
    """A redis-server with the chart's configuration and users."""

    port: int
    probe: list[str]
    options: tuple[str, ...] = ()

    def cli(self, *command: str, user: str = "default", password: str = PASSWORD) -> str:
        """What redis-cli prints for a command."""
        login = ("--user", user) if user != "default" else ()
        return self._run(
            ["redis-cli", "-p", str(self.port), *self.options, *login, *command], password
        )

    def probed(self) -> str:
        """What the probe prints."""
        return self._run([*self.probe[:1], "-p", str(self.port), *self.probe[1:]], "")

    def _run(self, command: list[str], password: str) -> str:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        if password:
            environment["REDISCLI_AUTH"] = password
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
        return (done.stdout + done.stderr).strip()


@contextmanager
def started(release: "Release", folder: Path, **passwords: str) -> Iterator[Started]:
    """The release's Redis as its pod would start it, with these files in its Secret."""
    redis = release.workloads["jobs-redis"]
    (tls,) = [o for o in release.all("Secret") if o["metadata"]["name"] == "jobs-redis-tls"] or [{}]
    port = _free_port()
    moved = {
        "/run/secrets/redis": str(folder / "secret"),
        "/run/redis": str(folder / "run"),
        "/run/tls": str(folder / "tls"),
        "dir /data": f"dir {folder / 'data'}",
        "port 6379": f"port {port}",
        "bind * -::*": "bind 127.0.0.1",
    }
    for name in ("secret", "run", "data", "tls"):
        (folder / name).mkdir(exist_ok=True)
    for name, text in (passwords or {"password": PASSWORD}).items():
        (folder / "secret" / name.replace("_", "-")).write_text(text, encoding="utf-8")
    for name in tls.get("data", {}):
        (folder / "tls" / name).write_text(release.secret("jobs-redis-tls")[name])
    *shell, script = redis.spec["initContainers"][0]["command"]
    subprocess.run([*shell, _replaced(script, moved)], check=True, timeout=10)
    conf = folder / "redis.conf"
    text = release.one("ConfigMap", "jobs-redis")["data"]["redis.conf"]
    conf.write_text(_replaced(text, moved), encoding="utf-8")
    (probe,) = {tuple(redis.container[kind]["exec"]["command"]) for kind in PROBES}
    options = ("--tls", "--cacert", str(folder / "tls" / "ca.crt")) if tls else ()
    with subprocess.Popen(["redis-server", str(conf)], stdout=subprocess.DEVNULL) as server:
        try:
            found = Started(port, [_replaced(word, moved) for word in probe], options)
            deadline = time.monotonic() + 10
            while found.probed() != "PONG" and time.monotonic() < deadline:
                time.sleep(0.05)
            yield found
        finally:
            server.terminate()


def _replaced(text: str, parts: dict[str, str]) -> str:
    for old, new in parts.items():
        text = text.replace(old, new)
    return text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
