"""The same suite on every broker: RabbitMQ, Redis, Valkey and Amazon SQS as moto serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis

from tests.runtime.brokers import servers
from tests.runtime.brokers.bench import Bench, Journal
from tests.runtime.conftest import Mounted, Start

SERVERS: dict[str, Callable[[pytest.TempPathFactory], servers.Server]] = {
    "rabbitmq": lambda folders: servers.rabbitmq(folders.mktemp("rabbitmq")),
    "redis": lambda _: servers.redis("redis:8", "redis-server"),
    "valkey": lambda _: servers.redis("valkey/valkey:8", "valkey-server"),
    "sqs": lambda folders: servers.sqs(folders.mktemp("sqs")),
}


class Servers:
    """Starts each broker when a test first asks for it."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._running: dict[str, servers.Server] = {}

    def __getitem__(self, name: str) -> servers.Server:
        if name not in self._running:
            self._running[name] = SERVERS[name](self._folders)
        return self._running[name]

    def remove(self) -> None:
        for server in self._running.values():
            server.remove()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The brokers of this test process, each started at its first use."""
    started = Servers(tmp_path_factory)
    yield started
    started.remove()


@pytest.fixture
def rabbitmq(running: Servers, mounted: Mounted) -> servers.Container:
    """RabbitMQ, and the mounted settings that lead to it."""
    server = running["rabbitmq"]
    assert isinstance(server, servers.Container)
    point(mounted, server)
    return server


def point(mounted: Mounted, server: servers.Server) -> None:
    """Let the mounted settings lead to a server."""
    mounted.settings["broker"] = server.settings
    for name, value in server.secrets.items():
        mounted.secret(name, value)
    mounted.write()


@pytest.fixture
def rabbit_bench(rabbitmq: servers.Container, bench: Callable[[str], Bench]) -> Bench:
    """A queue on RabbitMQ."""
    return bench(servers.amqp_url(int(rabbitmq.settings["port"])))


@pytest.fixture
def redis_bench(reachable: Mounted, bench: Callable[[str], Bench]) -> Bench:
    """A queue on Redis, alone in its database."""
    url = reachable.settings["config"]["broker_url"]
    with Redis.from_url(url) as store:
        store.flushdb()
    return bench(url)


@pytest.fixture
def bench(
    mounted: Mounted,
    celery: Start,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Bench]:
    def make(url: str) -> Bench:
        queue = f"q-{uuid4().hex[:8]}"
        mounted.settings |= {"defaultQueue": queue, "queues": {queue: {}}}
        mounted.secret("results/url", f"{redis_url}/0")
        # For the producers in this process; workers are told where the settings are.
        monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
        return Bench(mounted, celery, url, queue, Journal(tmp_path / "journal"))

    return make
