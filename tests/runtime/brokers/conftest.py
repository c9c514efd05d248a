"""The same suite on every broker: RabbitMQ, Redis, Valkey and Amazon SQS as moto serves it."""

from collections.abc import Callable, Iterator

import pytest

from tests.runtime.brokers import servers
from tests.runtime.conftest import Mounted

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
