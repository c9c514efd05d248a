"""The embedded Redis, which also installs alone; its start is tried on a real one."""

import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Workload


def test_it_installs_alone(helm: "Helm") -> None:
    release = helm.template({}, chart="redis", release="cache")
    assert {(o["kind"], o["metadata"]["name"]) for o in release.objects} == {
        ("ConfigMap", "cache-redis"),
        ("Secret", "cache-redis"),
        ("Service", "cache-redis"),
        ("StatefulSet", "cache-redis"),
    }


def test_it_keeps_everything_and_evicts_nothing(helm: "Helm") -> None:
    conf = _conf(helm)
    assert "appendonly yes" in conf
    assert "maxmemory-policy noeviction" in conf
    assert f"maxmemory {512 * 2**20 * 7 // 10}" in conf


def test_the_password_reaches_containers_from_the_secret_alone(helm: "Helm") -> None:
    redis = _redis(helm, "login")
    assert redis.container["env"] == [
        {
            "name": "REDISCLI_AUTH",
            "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}},
        }
    ]
    (volume,) = [v for v in redis.spec["volumes"] if v["name"] == "password"]
    assert volume["secret"]["secretName"] == "login"
    assert redis.container["command"] == ["redis-server", "/etc/redis/redis.conf"]


def test_probes_take_an_error_reply_for_a_failure(helm: "Helm") -> None:
    container = _redis(helm).container
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[kind]["exec"]["command"] == ["redis-cli", "-e", "PING"]


def test_data_is_on_a_volume_of_the_size_asked_for(helm: "Helm") -> None:
    values = {"storage": {"size": "3Gi", "className": "fast"}}
    owner = helm.template(values, chart="redis", release="cache").one("StatefulSet", "cache-redis")
    (claim,) = owner["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert claim["spec"]["storageClassName"] == "fast"


def test_a_real_redis_starts_with_it_and_takes_any_password(helm: "Helm", tmp_path: Path) -> None:
    password = "p@ss \"'$(id)\\%w/:rd"
    places = {name: tmp_path / name for name in ("secret", "run", "data")}
    for place in places.values():
        place.mkdir()
    (places["secret"] / "password").write_text(password, encoding="utf-8")
    moved = {
        "/run/secrets/redis": str(places["secret"]),
        "/run/redis": str(places["run"]),
        "dir /data": f"dir {places['data']}",
        "port 6379": f"port {(port := _free_port())}",
        "bind * -::*": "bind 127.0.0.1",
    }
    (users,) = _redis(helm).spec["initContainers"]
    *shell, script = users["command"]
    subprocess.run([*shell, _replaced(script, moved)], check=True, timeout=10)
    conf = tmp_path / "redis.conf"
    conf.write_text(_replaced("\n".join(_conf(helm)), moved), encoding="utf-8")
    with subprocess.Popen(["redis-server", str(conf)], stdout=subprocess.DEVNULL) as server:
        try:
            assert _ping_until_up(port, password) == "PONG"
            assert _ping(port, "wrong").returncode != 0
        finally:
            server.terminate()


def _ping_until_up(port: int, password: str) -> str:
    deadline = time.monotonic() + 10
    while (done := _ping(port, password)).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    return done.stdout.strip() or done.stderr


def _ping(port: int, password: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["redis-cli", "-p", str(port), "-e", "PING"],
        env={"REDISCLI_AUTH": password, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def _redis(helm: "Helm", secret: str = "") -> "Workload":
    values = {"auth": {"existingSecret": secret}}
    return helm.template(values, chart="redis", release="cache").workloads["cache-redis"]


def _conf(helm: "Helm") -> list[str]:
    release = helm.template({}, chart="redis", release="cache")
    text: str = release.one("ConfigMap", "cache-redis")["data"]["redis.conf"]
    return text.splitlines()


def _replaced(text: str, parts: dict[str, str]) -> str:
    for old, new in parts.items():
        text = text.replace(old, new)
    return text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
