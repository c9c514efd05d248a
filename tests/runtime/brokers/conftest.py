"""The same suite on every broker: RabbitMQ, Redis, Valkey and Amazon SQS as moto serves it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.result import AsyncResult
from kombu import pools
from redis import Redis

from celery_runtime import configure
from tests.runtime.brokers import servers
from tests.runtime.brokers.bench import Bench, Journal
from tests.runtime.brokers.redisservers import RedisProcess
from tests.runtime.conftest import CHART_POOLS, Mounted, Service, Start, wait_until

LIMIT = 2
#: Short, so that what a killed worker held comes back within a test.
VISIBILITY_SECONDS = 4

SERVERS: dict[str, Callable[[pytest.TempPathFactory], servers.Server]] = {
    "rabbitmq": lambda folders: servers.rabbitmq(folders.mktemp("rabbitmq")),
    "redis": lambda _: servers.redis("redis:8", "redis-server"),
    "valkey": lambda _: servers.redis("valkey/valkey:8", "valkey-server"),
    "sqs": lambda folders: servers.sqs(folders.mktemp("sqs")),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that wait for brokers among those that compute: each process gets both."""
    here = Path(__file__).parent
    totals = Counter(here in item.path.parents for item in items)
    before = Counter[bool]()
    files = []
    for path, tests in groupby(items, key=lambda item: item.path):
        waits = here in path.parents
        files.append((before[waits] / totals[waits], [*tests]))
        before[waits] += len(files[-1][1])
    items[:] = [test for _, tests in sorted(files, key=lambda file: file[0]) for test in tests]


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
    servers.remove_orphans()
    started = Servers(tmp_path_factory)
    yield started
    started.remove()


def point(mounted: Mounted, server: servers.Server) -> None:
    """Let the mounted settings lead to a server."""
    mounted.settings["broker"] = dict(server.settings)
    for file in (mounted.path / "broker").iterdir():
        file.unlink()
    for name, value in server.secrets.items():
        mounted.secret(name, value)
    mounted.write()


@dataclass
class Shop:
    """An application on one broker: its settings, workers, producer and ledger."""

    broker: str
    server: servers.Server
    mounted: Path
    email: str
    app: Celery
    ledger: Redis
    start: Callable[..., Service]

    def send(self, task: str, *args: object, **options: Any) -> AsyncResult:  # noqa: ANN401
        """Send a task of the application by the end of its name."""
        return self.app.send_task(f"shop.{task}", args, **options)

    def begun(self, task: str, *args: object) -> AsyncResult:
        """A task that a worker has begun."""
        result = self.send(task, *args)
        self.wait_for_runs(result, 1)
        return result

    def worker(self, pool: str, *arguments: str, **options: Any) -> Service:  # noqa: ANN401
        """A worker that consumes."""
        service = self.start(pool, *arguments, **options)
        service.wait_for("ready", 200)
        return service

    def runs(self, result: AsyncResult) -> int:
        """How often a task was started."""
        return int(self.ledger.get(f"runs:{result.id}") or 0)

    def ways(self, result: AsyncResult) -> list[str]:
        """The routing keys that its messages came with."""
        return [str(way) for way in self.ledger.lrange(f"ways:{result.id}", 0, -1)]

    def wait_for_runs(self, result: AsyncResult, runs: int, *, seconds: float = 30) -> None:
        wait_until(lambda: self.runs(result) >= runs, f"{runs} runs", seconds=seconds)


#: Valkey speaks the protocol of Redis, and the same client asks it. Every promise is kept on it,
#: under one pool: that the other pool can talk to such a server is proven on Redis.
BROKERS_AND_POOLS = [
    (broker, pool)
    for broker in SERVERS
    for pool in CHART_POOLS
    if (broker, pool) != ("valkey", "gevent")
]
on_every_broker = pytest.mark.parametrize(
    ("broker", "pool"), BROKERS_AND_POOLS, indirect=["broker"]
)


@pytest.fixture(params=SERVERS)
def broker(request: pytest.FixtureRequest) -> str:
    """Each broker in turn."""
    return str(request.param)


OpenShop = Callable[[Mounted, servers.Server], Shop]


@pytest.fixture
def shop(
    broker: str, running: Servers, mounted: Mounted, redis_url: str, open_shop: OpenShop
) -> Shop:
    """The application on that broker, with queues that no other test uses."""
    server = running[broker]
    mounted.secret("results/url", f"{redis_url}/0")
    hidden = {} if broker == "rabbitmq" else {"visibilityTimeoutSeconds": VISIBILITY_SECONDS}
    furnish(mounted, server, *new_queues(), **hidden)
    return open_shop(mounted, server)


def new_queues() -> tuple[str, str]:
    mark = os.urandom(4).hex()
    return f"default-{mark}", f"email-{mark}"


def furnish(
    mounted: Mounted,
    server: servers.Server,
    *queues: str,
    **broker: Any,  # noqa: ANN401
) -> None:
    """Let the mounted settings lead to a server, with these queues, the first by default."""
    mounted.settings["queues"] = {name: {"deliveryLimit": LIMIT} for name in queues}
    mounted.settings["defaultQueue"] = queues[0]
    point(mounted, server)
    mounted.settings["broker"] |= broker
    mounted.write()


def keep_results(mounted: Mounted, server: RedisProcess) -> None:
    """Let results be kept by the Redis that is the broker, in a database of their own."""
    mounted.settings["resultBackend"] = {**server.settings, "database": 1}
    mounted.secret("results/password", servers.PASSWORD)
    mounted.write()


@pytest.fixture
def open_shop(redis_url: str, celery: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenShop]:
    """Opens the application with what is mounted."""
    opened: list[Celery] = []
    ledger = Redis.from_url(f"{redis_url}/5", decode_responses=True)

    def open_(mounted: Mounted, server: servers.Server) -> Shop:
        monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
        app = Celery("producer")
        configure(app)
        opened.append(app)
        queue, *others = mounted.settings["queues"]
        email = others[0] if others else queue

        def start(pool: str, *arguments: str, concurrency: int = 2, **more: str) -> Service:
            environment = {
                "CELERY_RUNTIME_DIR": str(mounted.path),
                "LEDGER_URL": f"{redis_url}/5",
                "app": "shopapp:app",
                **more,
            }
            return celery(
                "worker",
                f"--hostname={os.urandom(2).hex()}@%h",
                f"--pool={pool}",
                f"--concurrency={concurrency}",
                f"--queues={','.join(mounted.settings['queues'])}",
                "--loglevel=info",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                *arguments,
                **environment,
            )

        broker = str(mounted.settings["broker"]["kind"])
        return Shop(broker, server, mounted.path, email, app, ledger, start)

    yield open_
    for app in opened:
        app.close()
    # kombu keeps a pool per address: the next test would get what a broker has closed.
    pools.reset()


@pytest.fixture
def rabbitmq(running: Servers, mounted: Mounted) -> servers.Container:
    """RabbitMQ, and the mounted settings that lead to it."""
    server = running["rabbitmq"]
    assert isinstance(server, servers.Container)
    point(mounted, server)
    return server


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
