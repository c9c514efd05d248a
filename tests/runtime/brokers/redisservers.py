"""redis-server on this machine where a test needs what the containers have not: TLS, sentinels."""

import shutil
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.certificates import Authority
from tests.runtime.brokers.servers import PASSWORD, wait_until_it_serves
from tests.runtime.conftest import free_port, wait_until
from tests.runtime.processes import freeze, thaw

LOOPBACK = "127.0.0.1"
SENTINEL_PASSWORD = "not the one of redis"
MASTER = "jobs"
DOWN_AFTER_SECONDS = 2
AT_ONCE = ("--repl-diskless-sync-delay", "0")
COMMON = ("--bind", LOOPBACK, "--save", "", "--requirepass", PASSWORD)


@dataclass
class RedisProcess:
    """A redis-server, or a sentinel, with the configuration that it is given."""

    folder: Path
    arguments: tuple[str, ...]
    client: Redis
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=lambda: {"broker/password": PASSWORD})
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail(
                "redis-server is missing: apt-get install --no-install-recommends redis-server"
            )
        self.folder.mkdir(exist_ok=True)
        log = self.folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [binary, *self.arguments], cwd=self.folder, stdout=output, stderr=output
            )
        wait_until_it_serves(self.client.ping, log.read_text)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        if self._process is not None:
            freeze(self._process.pid)

    def resume(self) -> None:
        if self._process is not None:
            thaw(self._process.pid)

    def remove(self) -> None:
        self.stop()
        self.client.close()


def tls_redis(folder: Path, authority: Authority) -> RedisProcess:
    """A Redis that speaks nothing but TLS, as localhost and under no other name."""
    folder.mkdir()
    authority.signed("redis").write(folder)
    port = free_port()
    files = ("--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key")
    tls = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", *files)
    client = Redis(
        "localhost",
        port,
        password=PASSWORD,
        ssl=True,
        ssl_ca_data=authority.certificate.decode(),
    )
    settings = {"kind": "redis", "host": "localhost", "port": port, "tls": True}
    return RedisProcess(folder, (*tls, *COMMON), client, settings)


def limited_redis(folder: Path, *, user: str, rights: str) -> RedisProcess:
    """A Redis with one user, who may do only this; it keeps what it was told over a stop."""
    port = free_port()
    folder.mkdir()
    (folder / "redis.conf").write_text(
        f"port {port}\nbind {LOOPBACK}\nappendonly yes\nappendfsync always\naclfile users.acl\n"
    )
    write_user(folder, user, rights, PASSWORD)
    client = Redis(LOOPBACK, port, username=user, password=PASSWORD)
    settings = {"kind": "redis", "host": LOOPBACK, "port": port, "username": user}
    return RedisProcess(folder, ("redis.conf",), client, settings)


def write_user(folder: Path, user: str, rights: str, *passwords: str) -> None:
    """The only user of a Redis, from its next start on."""
    hashes = [f"#{sha256(password.encode()).hexdigest()}" for password in passwords]
    rule = f"user {user} on {' '.join(hashes)} {rights}"
    (folder / "users.acl").write_text(f"user default off ~* &* +@all\n{rule}\n")


def cluster_node(folder: Path) -> RedisProcess:
    """A Redis Cluster, with all of its slots on one node."""
    port = free_port()
    # Left to itself it takes a port 10,000 higher, among those of outgoing connections.
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    arguments = ("--port", str(port), *cluster, *COMMON)
    settings = {"kind": "redis", "host": LOOPBACK, "port": port}
    return RedisProcess(folder, arguments, Redis(LOOPBACK, port, password=PASSWORD), settings)


class Replicated:
    """A master, a replica, and sentinels that have a password of their own."""

    def __init__(self, folder: Path) -> None:
        self.servers = [self._server(folder / f"redis-{number}") for number in range(2)]
        self.sentinels = [self._sentinel(folder / f"sentinel-{number}") for number in range(3)]
        hosts = [f"{LOOPBACK}:{port_of(sentinel)}" for sentinel in self.sentinels]
        self.settings: dict[str, Any] = {
            "kind": "redis",
            "sentinel": {"master": MASTER, "hosts": hosts},
        }
        self.secrets = {
            "broker/password": PASSWORD,
            "broker/sentinel-password": SENTINEL_PASSWORD,
        }
        self._master = self.servers[0]

    def start(self) -> None:
        for process in (*self.servers, *self.sentinels):
            process.start()
        self.servers[1].client.replicaof(LOOPBACK, str(port_of(self._master)))
        wait_until(lambda: self._master.client.wait(1, 100), "a replica")
        wait_until(lambda: all(map(self._knows_others, self.sentinels)), "the sentinels agree")

    def stop(self) -> None:
        """End the master, and wait until every sentinel has a replica in its place."""
        self._master.stop()
        (self._master,) = [server for server in self.servers if server is not self._master]
        wait_until(
            lambda: all(map(self._names_master, self.sentinels)),
            "a replica is promoted",
            seconds=60,
        )

    def pause(self) -> None:
        self._master.pause()

    def resume(self) -> None:
        self._master.resume()

    def remove(self) -> None:
        for process in (*self.sentinels, *self.servers):
            process.remove()

    def replicated(self) -> None:
        """Wait until the replica has everything that came before."""
        # WAIT counts from the last write of its own connection.
        self._master.client.set("replicated", 1)
        assert self._master.client.wait(1, 10_000) == 1

    def _server(self, folder: Path) -> RedisProcess:
        port = free_port()
        arguments = ("--port", str(port), *COMMON, "--masterauth", PASSWORD, *AT_ONCE)
        return RedisProcess(folder, arguments, Redis(LOOPBACK, port, password=PASSWORD))

    def _sentinel(self, folder: Path) -> RedisProcess:
        port = free_port()
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"""port {port}
bind {LOOPBACK}
requirepass "{SENTINEL_PASSWORD}"
sentinel sentinel-pass "{SENTINEL_PASSWORD}"
sentinel monitor {MASTER} {LOOPBACK} {port_of(self.servers[0])} 2
sentinel auth-pass {MASTER} "{PASSWORD}"
sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_SECONDS * 1000}
sentinel failover-timeout {MASTER} 10000
"""
        )
        client = Redis(LOOPBACK, port, password=SENTINEL_PASSWORD)
        return RedisProcess(folder, ("sentinel.conf", "--sentinel"), client)

    def _knows_others(self, sentinel: RedisProcess) -> bool:
        master: Any = sentinel.client.sentinel_master(MASTER)
        return (master["num-slaves"], master["num-other-sentinels"]) == (1, 2)

    def _names_master(self, sentinel: RedisProcess) -> bool:
        master: Any = sentinel.client.sentinel_master(MASTER)
        return master["port"] == port_of(self._master) and not master["is_odown"]


def port_of(process: RedisProcess) -> int:
    return int(process.client.get_connection_kwargs()["port"])
