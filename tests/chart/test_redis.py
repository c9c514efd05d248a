"""The embedded Redis, which also installs alone; its start is tried on a real one."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from redis import Redis

from tests.chart.realredis import PASSWORD, Started, started

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Release, Workload

LIMITED = {"auth": {"username": "celery"}}
TLS = {"tls": {"enabled": True}}
VALKEY = {"image": {"repository": "valkey/valkey", "tag": "8"}}


def test_it_installs_alone(helm: "Helm") -> None:
    assert _objects(helm) == {
        ("ConfigMap", "jobs-redis"),
        ("Secret", "jobs-redis"),
        ("Service", "jobs-redis"),
        ("StatefulSet", "jobs-redis"),
    }


def test_kubernetes_knows_every_field_with_every_option_on(helm: "Helm") -> None:
    for found in _release(helm, LIMITED | TLS).objects:
        assert kubernetes_validate.validate(found, "1.34", strict=True) == "1.34"


def test_it_keeps_everything_and_evicts_nothing(helm: "Helm") -> None:
    conf = _conf(helm)
    assert "appendonly yes" in conf
    assert "maxmemory-policy noeviction" in conf
    assert f"maxmemory {512 * 2**20 * 7 // 10}" in conf


def test_the_memory_that_redis_may_fill_follows_the_limit(helm: "Helm") -> None:
    conf = _conf(helm, {"resources": {"limits": {"memory": "2Gi"}}})
    assert f"maxmemory {2 * 2**30 * 7 // 10}" in conf


def test_the_password_reaches_the_pod_as_a_file_and_in_no_other_way(helm: "Helm") -> None:
    redis = _redis(helm, {"auth": {"existingSecret": "login"}})
    for container in (*redis.spec["initContainers"], redis.container):
        assert not container.keys() & {"env", "envFrom"}
    (volume,) = [v for v in redis.spec["volumes"] if v["name"] == "password"]
    files = [
        (source["secret"]["name"], item["key"], source["secret"].get("optional", False))
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    ]
    assert files == [("login", "password", False), ("login", "previous-password", True)]
    assert redis.container["command"] == ["redis-server", "/etc/redis/redis.conf"]


def test_data_is_on_a_volume_of_the_size_asked_for(helm: "Helm") -> None:
    values = {"storage": {"size": "3Gi", "className": "fast"}}
    (claim,) = _redis(helm, values).owner["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert claim["spec"]["storageClassName"] == "fast"


def test_valkey_differs_by_its_image_alone(helm: "Helm") -> None:
    redis, valkey = (
        helm.template(v, chart="redis", release="jobs") for v in (LOGIN, LOGIN | VALKEY)
    )
    text = yaml.safe_dump_all(redis.objects)
    assert "redis:8" in text
    assert text.replace("redis:8", "valkey/valkey:8") == yaml.safe_dump_all(valkey.objects)


def test_a_certificate_is_made_once_and_kept(helm: "Helm", cluster: "Cluster") -> None:
    installed = _online(helm, TLS, cluster)
    cluster.keep(installed)
    upgraded = _online(helm, TLS, cluster)
    assert upgraded.secret("jobs-redis-tls") == installed.secret("jobs-redis-tls")
    assert _annotations(upgraded) == _annotations(installed)


def test_a_certificate_of_ones_own_is_used_and_none_is_made(
    helm: "Helm", cluster: "Cluster"
) -> None:
    values = {"tls": {"enabled": True, "existingSecret": "cert"}}
    release = helm.template(values, chart="redis", release="jobs")
    assert [o["metadata"]["name"] for o in release.all("Secret")] == ["jobs-redis"]
    (volume,) = [v for v in _redis(helm, values).spec["volumes"] if v["name"] == "tls"]
    assert volume["secret"] == {"secretName": "cert"}
    cluster.keep(release)
    cluster.put("cert", {"tls.crt": "b2xk"})
    before = _annotations(_online(helm, values, cluster))
    cluster.put("cert", {"tls.crt": "bmV3"})
    assert _annotations(_online(helm, values, cluster)) != before


# Rotation


def test_a_copied_password_is_replaced_and_stays_valid_until_it_is_removed(
    helm: "Helm", cluster: "Cluster"
) -> None:
    installed = _online(helm, {}, cluster)
    old = installed.one("Secret", "jobs-redis")["data"]["password"]
    cluster.put("jobs-redis", {"password": old, "previous-password": old})
    rotated = _online(helm, {}, cluster)
    held = rotated.one("Secret", "jobs-redis")["data"]
    assert held["previous-password"] == old
    assert held["password"] != old
    assert len(rotated.secret("jobs-redis")["password"]) == 32
    cluster.keep(rotated)
    assert _online(helm, {}, cluster).one("Secret", "jobs-redis")["data"] == held
    cluster.put("jobs-redis", {"password": held["password"]})
    ended = _online(helm, {}, cluster)
    assert ended.one("Secret", "jobs-redis")["data"] == {"password": held["password"]}
    # Redis has to learn of each step.
    assert len({_annotations(r)["checksum/password"] for r in (installed, rotated, ended)}) == 3


def test_a_changed_secret_of_ones_own_restarts_redis(helm: "Helm", cluster: "Cluster") -> None:
    seen = []
    for data in ({"password": "b2xk"}, {"password": "bmV3", "previous-password": "b2xk"}):
        cluster.put("login", data)
        seen.append(_annotations(_online(helm, LOGIN, cluster)))
    assert seen[0]["checksum/password"] != seen[1]["checksum/password"]


# On a real Redis


def test_a_real_redis_starts_with_it_and_takes_any_password(helm: "Helm", tmp_path: Path) -> None:
    with started(_release(helm), tmp_path) as redis:
        assert redis.cli("-e", "PING") == "PONG"
        assert "WRONGPASS" in redis.cli("-e", "PING", password="wrong")
        assert "NOAUTH" in redis.cli("-e", "PING", password="")


def test_a_newline_at_the_end_of_a_password_was_typed_by_nobody(
    helm: "Helm", tmp_path: Path
) -> None:
    with started(_release(helm), tmp_path, password=f"{PASSWORD}\n", previous_password="") as redis:
        assert redis.cli("-e", "PING") == "PONG"
        assert "WRONGPASS" in redis.cli("AUTH", "default", "", password="")


def test_the_probes_need_no_password_and_can_do_nothing_else(helm: "Helm", tmp_path: Path) -> None:
    with started(_release(helm), tmp_path) as redis:
        assert redis.probed() == "PONG"
        for command in ("GET a", "INFO", "ACL WHOAMI", "PUBLISH a b"):
            printed = redis.cli(*command.split(), user="probe", password="probe")
            assert "NOPERM" in printed, command


def test_the_probes_take_an_error_reply_for_a_failure(helm: "Helm", tmp_path: Path) -> None:
    with started(_release(helm), tmp_path) as redis:
        redis.cli("ACL", "SETUSER", "probe", "-ping")
        assert "NOPERM" in redis.probed()
        done = subprocess.run(
            [*redis.probe[:1], "-p", str(redis.port), *redis.probe[1:]],
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0


def test_both_passwords_are_valid_while_one_takes_the_place_of_the_other(
    helm: "Helm", tmp_path: Path
) -> None:
    with started(
        _release(helm, LIMITED), tmp_path, password="new", previous_password=PASSWORD
    ) as redis:
        for password in ("new", PASSWORD):
            assert redis.cli("-e", "PING", user="celery", password=password) == "PONG"
        assert "WRONGPASS" in redis.cli("-e", "PING", user="celery", password="older")


def test_a_named_user_may_do_what_celery_needs_and_the_default_one_nothing(
    helm: "Helm", tmp_path: Path
) -> None:
    with started(_release(helm, LIMITED), tmp_path) as redis:
        assert redis.cli("SET", "a", "1", user="celery") == "OK"
        assert redis.cli("DEL", "a", user="celery") == "1"
        refused = ("CONFIG GET *", "FLUSHALL", "ACL LIST", "SHUTDOWN", "MONITOR")
        for command in (*refused, "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE"):
            assert "NOPERM" in redis.cli(*command.split(), user="celery"), command
        assert "WRONGPASS" in redis.cli("-e", "PING")
        assert "NOAUTH" in redis.cli("-e", "PING", password="")


def test_a_transaction_of_a_named_user_outlives_a_restart(helm: "Helm", tmp_path: Path) -> None:
    # Redis reads its append-only file as the default user, whose rights it asks at each EXEC.
    with started(_release(helm, LIMITED), tmp_path) as redis:
        client = Redis(port=redis.port, username="celery", password=PASSWORD)
        with client.pipeline(transaction=True) as pipe:
            pipe.set("kept", "1")
            pipe.lpush("queue", "task")
            pipe.execute()
    with started(_release(helm, LIMITED), tmp_path) as redis:
        assert redis.cli("GET", "kept", user="celery") == "1"
        assert redis.cli("LLEN", "queue", user="celery") == "1"


def test_with_tls_nothing_is_served_in_the_clear(helm: "Helm", tmp_path: Path) -> None:
    with started(_release(helm, TLS), tmp_path) as redis:
        assert redis.probed() == "PONG"
        assert redis.cli("-e", "PING") == "PONG"
        clear = Started(redis.port, [])
        assert clear.cli("-e", "PING") != "PONG"
    assert "port 0" in _conf(helm, TLS)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"auth": {"username": "default"}},
            'auth.username: "default" is a user that is there already. Choose another name',
        ),
        (
            {"auth": {"username": "celery on +@all"}},
            "at '/auth/username': 'celery on +@all' does not match pattern",
        ),
        (
            {"tls": {"existingSecret": "cert"}},
            "tls.existingSecret: has no effect while tls.enabled is false. Remove it",
        ),
    ],
)
def test_what_cannot_work_is_refused(helm: "Helm", values: dict[str, Any], problem: str) -> None:
    with pytest.raises(Exception, match="Error: ") as refused:
        helm.template(values, chart="redis", release="jobs")
    assert problem in str(refused.value)


LOGIN = {"auth": {"existingSecret": "login"}}


def _objects(helm: "Helm") -> set[tuple[str, str]]:
    release = helm.template({}, chart="redis", release="jobs")
    return {(o["kind"], o["metadata"]["name"]) for o in release.objects}


def _release(helm: "Helm", values: dict[str, Any] | None = None) -> "Release":
    return helm.template(values or {}, chart="redis", release="jobs")


def _redis(helm: "Helm", values: dict[str, Any]) -> "Workload":
    return helm.template(values, chart="redis", release="jobs").workloads["jobs-redis"]


def _online(helm: "Helm", values: dict[str, Any], cluster: "Cluster") -> "Release":
    helm.rendered.clear()
    return helm.template(values, *cluster.options, chart="redis", release="jobs")


def _annotations(release: "Release") -> dict[str, str]:
    annotations: dict[str, str] = release.workloads["jobs-redis"].metadata["annotations"]
    return annotations


def _conf(helm: "Helm", values: dict[str, Any] | None = None) -> list[str]:
    release = helm.template(values or {}, chart="redis", release="jobs")
    text: str = release.one("ConfigMap", "jobs-redis")["data"]["redis.conf"]
    return text.splitlines()
