"""A PostgreSQL of the tests' own, the gateway as its own process, and the shop's worker.

The database's address is settled when this file is imported, because Django reads it when
the test modules import the models; the server behind it starts with the first test.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller

MISSING_POSTGRESQL = "initdb and pg_ctl are needed: apt-get install -y postgresql"
DEPLOY = Path(__file__).parents[2] / "images/demo/deploy"


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


DATABASE_PORT = free_port()
SHOP_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "shop.settings",
    "DATABASE_URL": f"postgresql://shop@127.0.0.1:{DATABASE_PORT}/postgres",
    "CHARGE_RETRY_DELAY_SECONDS": "1",
}

with pytest.MonkeyPatch.context() as environment:
    # Only while Django and the shop are set up: other tests of this process must not see it.
    for key, value in SHOP_ENVIRONMENT.items():
        environment.setenv(key, value)
    import django

    django.setup()
    from celery.contrib.testing.worker import start_worker
    from django.apps import apps
    from django.conf import settings as django_settings
    from django.core.management import call_command
    from django.db import connection, connections
    from PIL import Image

    from shop.celery import app
    from shop.models import TaskRun
    from shop.smtpsink import Sink

    app.conf.update(
        broker_url="memory://",
        broker_transport_options={"polling_interval": 0.05},
        result_backend="cache+memory://",
        task_default_queue="default",
        # One fetch in six seconds is what the tests of other promises would wait for.
        worker_disable_rate_limits=True,
        worker_hijack_root_logger=False,
    )


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[None]:
    """Serve a new database cluster on loopback while the tests run."""
    program("initdb")
    home = Path(tempfile.mkdtemp(prefix="shop-postgresql-"))
    if not os.geteuid():
        shutil.chown(home, "postgres", "postgres")
    data = str(home / "data")
    options = f"-c listen_addresses=127.0.0.1 -p {DATABASE_PORT} -k {home} -c fsync=off"
    run("initdb", "-D", data, "-U", "shop", "--auth=trust", "--no-sync")
    run("pg_ctl", "start", "-w", "-D", data, "-l", str(home / "log"), "-o", options)
    yield
    run("pg_ctl", "stop", "-m", "immediate", "-D", data)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def _migrated(_postgresql: None) -> None:
    """Make the shop's tables in the way that the deployment does."""
    call_command("prepare", timeout=10)


@pytest.fixture
def _database(_migrated: None) -> Iterator[None]:
    """Give a test the shop's tables, empty."""
    # Truncating, as Django's flush does, takes ten times as long for a few rows. Models that
    # refer to others are defined after them.
    models = reversed(list(apps.get_app_config("shop").get_models()))
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"DELETE FROM {model._meta.db_table}" for model in models))  # noqa: S608
    yield
    connections.close_all()


@pytest.fixture(scope="session")
def gateway_process(_migrated: None) -> Iterator[str]:
    """Serve the payment gateway on loopback, by the command of its deployment."""
    port = free_port()
    command = [word.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for word in gateway_command()]
    environment = os.environ | SHOP_ENVIRONMENT | {"ROOT_URLCONF": "shop.gateway"}
    with subprocess.Popen([sys.executable, "-m", *command], env=environment) as process:
        url = f"http://127.0.0.1:{port}"
        await_answer(f"{url}/healthz", process)
        yield url
        process.terminate()


@pytest.fixture
def gateway(gateway_process: str, _database: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the shop at the gateway, which has charged nothing yet."""
    monkeypatch.setattr(django_settings, "GATEWAY_URL", gateway_process)
    return gateway_process


@pytest.fixture
def mail_server(_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Controller]:
    """Serve the SMTP sink on loopback and point the shop at it."""
    controller = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    controller.start()
    monkeypatch.setattr(django_settings, "SMTP_HOST", "127.0.0.1")
    monkeypatch.setattr(django_settings, "SMTP_PORT", controller.port)
    yield controller
    controller.stop()


@pytest.fixture
def photos_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the shop a folder with two pictures."""
    Image.effect_mandelbrot((640, 400), (-2.0, -1.2, 0.8, 1.2), 60).save(tmp_path / "set.png")
    Image.radial_gradient("L").save(tmp_path / "disc.jpg")
    monkeypatch.setattr(django_settings, "PHOTOS_DIR", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _worker(_migrated: None) -> Iterator[None]:
    """Run a real worker of the shop in this process, on a broker in memory."""
    queues = ("default", "email", "high_priority", "thumbnails")
    with start_worker(app, perform_ping_check=False, queues=queues, pool="threads", concurrency=4):
        yield


def closed(task_id: str, seconds: float = 15) -> TaskRun:
    """Return a task's row once it is closed; its result may be there a moment earlier."""
    deadline = time.monotonic() + seconds
    while True:
        row: TaskRun | None = TaskRun.objects.filter(
            task_id=task_id, finished_at__isnull=False
        ).first()
        if row:
            return row
        found = list(TaskRun.objects.values())
        assert time.monotonic() < deadline, f"task {task_id} is not done: {found}"
        time.sleep(0.05)


def gateway_command() -> list[str]:
    """Return the command of the gateway's container."""
    documents = yaml.safe_load_all((DEPLOY / "shop.yaml").read_text())
    (deployment,) = (
        document
        for document in documents
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "shop-gateway"
    )
    command: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    return command


def await_answer(url: str, process: "subprocess.Popen[bytes]", seconds: float = 20) -> None:
    """Return once `url` answers; fail if its process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs; Debian keeps them off the PATH."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    if not found:
        pytest.fail(MISSING_POSTGRESQL)
    return found


def run(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, never as root, and fail with its output."""
    command = [program(name), *arguments]
    log = Path(tempfile.gettempdir())
    done = subprocess.run(
        command,
        cwd=log,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **unprivileged(),
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def unprivileged() -> dict[str, Any]:
    """Return how to start a process as someone else if this is root, which PostgreSQL refuses."""
    if os.geteuid():
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
