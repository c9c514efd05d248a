"""From the values to a real Redis: a password of any characters, by every way that it can take."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from redbeat.schedulers import get_redis

from celery_runtime import configure
from celery_runtime.coordination import store
from tests.chart.kubelet import mount
from tests.chart.realredis import PASSWORD, started

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
OWN = {"mode": "existing", "host": "jobs-redis"}
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "embedded": (
        {"broker": {"kind": "redis"}, "redis": {"auth": {"existingSecret": "shop-redis"}}},
        {},
    ),
    "embedded with TLS and a user": (
        {
            "broker": {"kind": "redis"},
            "redis": {
                "auth": {"existingSecret": "shop-redis", "username": "celery"},
                "tls": {"enabled": True},
            },
        },
        {},
    ),
    "a Secret": (
        {
            "broker": {"kind": "redis", "existingSecret": "login", **OWN},
            "resultBackend": {"existingSecret": "login", **OWN},
            "redis": {"enabled": False},
        },
        {"username": "default"},
    ),
    "in the values": (
        {
            "broker": {"kind": "redis", "password": PASSWORD, **OWN},
            "resultBackend": {"password": PASSWORD, **OWN},
            "redis": {"enabled": False},
        },
        {},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_opens_the_broker_the_results_the_schedule_and_what_is_done_once(
    helm: "Helm", minimal: "Values", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    change, given = WAYS[way]
    release = helm.template(minimal | NO_RABBITMQ | change)
    server = release
    if "jobs-redis" not in release.workloads:
        server = helm.template({}, chart="redis", release="jobs")
    worker = release.workloads["jobs-worker-io"]
    (tmp_path / "redis").mkdir()
    with started(server, tmp_path / "redis", password=PASSWORD) as redis:
        mount(release, worker.spec, tmp_path / "mounted", {"password": PASSWORD, **given})
        _resolve(monkeypatch, "jobs-redis", redis.port)
        monkeypatch.setenv("CELERY_RUNTIME_DIR", str(tmp_path / "mounted"))
        app = Celery(set_as_current=False)
        configure(app)
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)
        assert app.backend.client.ping()
        assert get_redis(app).ping()
        assert store.of(app).redis.ping()
        app.close()


def _resolve(monkeypatch: pytest.MonkeyPatch, name: str, port: int) -> None:
    """Let a Service's name lead to a port of this machine: a certificate is asked for the name."""
    ask = socket.getaddrinfo

    def answer(host: str, at: int, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        found = ("127.0.0.1", port) if (host, at) == (name, 6379) else (host, at)
        return ask(*found, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
