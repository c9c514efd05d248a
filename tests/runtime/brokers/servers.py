"""Brokers of this test run: real ones, on loopback, that can be stopped, paused and restarted."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import boto3
import pytest
from kombu.connection import Connection
from redis import Redis

from tests.runtime.conftest import free_port, wait_for_port
from tests.runtime.processes import family, freeze, thaw

#: Characters that a URL or a shell could take for their own. RabbitMQ reads a default password
#: beyond ASCII from its environment as Latin-1, so that no client can log in with it.
PASSWORD = "p@:/?#%+ &;=[]"
START_SECONDS = 60
#: A container's label: the process that is to remove it.
OWNER = "celery-on-kubernetes.tests"
#: RabbitMQ 4.3 refuses what this line forbids; older ones can be told to.
RABBITMQ_CONFIGURATION = """
deprecated_features.permit.transient_nonexcl_queues = false
"""


class Server(Protocol):
    """A broker, as a process that may go away and come back."""

    #: What settings.json says of it, and the secret files beside it.
    settings: dict[str, Any]
    secrets: dict[str, str]

    def stop(self) -> None:
        """End it at once, as a crash does."""

    def start(self) -> None:
        """Start it again, with the data it had, and wait until it serves."""

    def pause(self) -> None:
        """Make it silent without closing a connection."""

    def resume(self) -> None:
        """End the silence."""

    def remove(self) -> None:
        """End it for good."""


@dataclass
class Container:
    """A broker's container; `ready` raises until the broker serves."""

    name: str
    settings: dict[str, Any]
    secrets: dict[str, str]
    ready: Callable[[], object]

    def stop(self) -> None:
        engine("kill", "--signal=KILL", self.name)
        engine("wait", self.name)

    def start(self) -> None:
        engine("start", self.name)
        self.wait()

    def pause(self) -> None:
        freeze(*self._processes())

    def resume(self) -> None:
        thaw(*self._processes())

    def remove(self) -> None:
        engine("rm", "--force", "--volumes", "--time=0", self.name)

    def wait(self) -> None:
        try:
            wait_until_it_serves(self.ready, lambda: engine("logs", "--tail=30", self.name))
        except BaseException:
            self.remove()
            raise

    def version(self) -> tuple[int, ...]:
        """RabbitMQ's."""
        return tuple(map(int, self.execute("rabbitmqctl", "version").split()[-1].split(".")))

    def execute(self, *command: str) -> str:
        return engine("exec", self.name, *command)

    def _processes(self) -> list[int]:
        # The first may be a shell that waits for the broker.
        return family(int(engine("inspect", "--format={{.State.Pid}}", self.name)))


def engine(*arguments: str) -> str:
    """Run the container engine; the test fails with what it wrote to standard error."""
    name = os.environ.get("CONTAINER_ENGINE")
    if not name:
        pytest.fail("run these tests by `make test-brokers`, which provides the brokers' images")
    done = subprocess.run([name, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name} {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def wait_until_it_serves(ready: Callable[[], object], logs: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ready()
        except Exception as error:
            if time.monotonic() > deadline:
                pytest.fail(f"not ready: {error!r}\n{logs()}")
            time.sleep(0.2)
        else:
            return


def rabbitmq(folder: Path) -> Container:
    """RabbitMQ 4 with its management plugin."""
    (folder / "test.conf").write_text(RABBITMQ_CONFIGURATION)
    folder.chmod(0o755)
    port, management = free_port(), free_port()
    url = amqp_url(port)
    name = run(
        "rabbitmq:4.3-management",
        "--hostname=broker",
        # Before 4.3 RabbitMQ may look for the queues that the file forbids before it has read which
        # there are, and gives up the start. Killed by the engine it stays dead.
        "--restart=on-failure",
        "--env=RABBITMQ_DEFAULT_USER=celery",
        f"--env=RABBITMQ_DEFAULT_PASS={PASSWORD}",
        # As in the chart: each test process has one.
        "--env=RABBITMQ_SCHEDULER_BIND_TYPE=u",
        f"--publish=127.0.0.1:{port}:5672",
        f"--publish=127.0.0.1:{management}:15672",
        f"--volume={folder / 'test.conf'}:/etc/rabbitmq/conf.d/90-test.conf:ro",
    )
    server = Container(
        name,
        {"kind": "rabbitmq", "host": "127.0.0.1", "port": port, "vhost": "/"},
        {"broker/username": "celery", "broker/password": PASSWORD},
        lambda: connect(url),
    )
    server.wait()
    return server


def amqp_url(port: int) -> str:
    """Where a RabbitMQ of this run is, or a proxy in front of it."""
    return f"amqp://celery:{quote(PASSWORD, safe='')}@127.0.0.1:{port}//"


def connect(url: str) -> None:
    with Connection(url, connect_timeout=2) as connection:
        connection.connect()


def redis(image: str, program: str) -> Container:
    """Redis or Valkey, which keep what they were told over a crash."""
    port = free_port()
    options = ["--requirepass", PASSWORD, "--appendonly", "yes", "--appendfsync", "always"]
    name = run(image, f"--publish=127.0.0.1:{port}:6379", command=[program, *options])
    server = Container(
        name,
        {"kind": "redis", "host": "127.0.0.1", "port": port},
        {"broker/password": PASSWORD},
        lambda: Redis(port=port, password=PASSWORD, socket_timeout=1).ping(),
    )
    server.wait()
    return server


def run(image: str, *options: str, command: list[str] | None = None) -> str:
    """Start a container; returns its id."""
    label = f"--label={OWNER}={os.getpid()}"
    return engine("run", "--detach", label, *options, image, *(command or []))


def remove_orphans() -> None:
    """Remove the containers of test processes that were killed."""
    form = f'{{{{.ID}}}} {{{{.Label "{OWNER}"}}}}'
    if os.environ.get("CONTAINER_ENGINE") == "podman":
        form = f'{{{{.ID}}}} {{{{index .Labels "{OWNER}"}}}}'
    listed = engine("ps", "--all", f"--filter=label={OWNER}", f"--format={form}")
    for line in listed.splitlines():
        container, owner = line.split()
        if not Path(f"/proc/{owner}").exists():
            engine("rm", "--force", "--volumes", "--time=0", container)


@dataclass
class SqsServer:
    """moto's SQS in a process of its own; a pause is silence, a stop would lose its memory."""

    process: "subprocess.Popen[bytes]"
    settings: dict[str, Any]
    secrets: dict[str, str]
    client: Any

    def attributes(self, queue: str) -> dict[str, str]:
        url = self.client.get_queue_url(QueueName=queue)["QueueUrl"]
        asked = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return dict(asked["Attributes"])

    def stop(self) -> None:
        self.pause()

    def start(self) -> None:
        self.resume()

    def pause(self) -> None:
        freeze(self.process.pid)

    def resume(self) -> None:
        thaw(self.process.pid)

    def remove(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


def sqs(folder: Path) -> SqsServer:
    """Amazon SQS as moto serves it."""
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    command: list[str | Path] = [program, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MOTO_RECORDER_FILEPATH": str(folder / "requests")}
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    wait_for_port(port)
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    wait_until_it_serves(client.list_queues, (folder / "moto.log").read_text)
    return SqsServer(
        process,
        {"kind": "sqs", "region": "eu-central-1", "endpoint": endpoint},
        {"broker/username": "test", "broker/password": "test"},
        client,
    )
