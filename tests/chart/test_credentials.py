"""Secrets: where they come from, who sees them, when they change."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Object, Release, Values, Workload

PASSWORD = "p@ss/w:rd%"  # with everything that a URL would trip over
GENERATED: dict[str, Any] = {"rabbitmq": {}, "redis": {}}


def test_generated_passwords_are_long_and_differ(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | GENERATED)
    rabbitmq, redis = release.secret("jobs-rabbitmq"), release.secret("jobs-redis")
    assert rabbitmq.keys() == {"username", "password", "erlang-cookie"}
    assert redis.keys() == {"password"}
    secrets = [rabbitmq["password"], rabbitmq["erlang-cookie"], redis["password"]]
    assert len(set(secrets)) == 3
    assert min(map(len, secrets)) >= 32


def test_pods_mount_the_keys_that_they_need_and_no_others(helm: "Helm", minimal: "Values") -> None:
    for workload in helm.template(minimal | GENERATED).celery:
        assert _files(workload) == {
            "broker/username": ("jobs-rabbitmq", "username", False),
            "broker/password": ("jobs-rabbitmq", "password", False),
            "results/password": ("jobs-redis", "password", False),
        }


EXISTING: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        {"host": "mq", "existingSecret": "mq-login"},
        {"host": "cache", "existingSecret": "cache-login"},
        {
            "broker/username": ("mq-login", "username", False),
            "broker/password": ("mq-login", "password", False),
            "results/password": ("cache-login", "password", False),
            "results/username": ("cache-login", "username", True),
        },
    ),
    (
        {"existingSecret": "mq-url"},
        {"existingSecret": "cache-url"},
        {
            "broker/url": ("mq-url", "url", False),
            "results/url": ("cache-url", "url", False),
        },
    ),
    (
        {"host": "mq", "username": "shop", "password": PASSWORD},
        {"host": "cache", "password": PASSWORD},
        {
            "broker/username": ("jobs-broker", "username", False),
            "broker/password": ("jobs-broker", "password", False),
            "results/password": ("jobs-results", "password", False),
        },
    ),
]


SENTINEL = {"master": "shop", "hosts": ["sentinel-0:26379"]}
URL_OF_RESULTS = {"existingSecret": "cache-url"}

#: Brokers of every kind, and the files that their Secret becomes.
KINDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"host": "mq", "existingSecret": "login", "tls": True},
        {
            "broker/username": ("login", "username", False),
            "broker/password": ("login", "password", False),
            "broker/ca.crt": ("login", "ca.crt", True),
        },
    ),
    (
        {"kind": "redis", "host": "cache", "existingSecret": "login"},
        {
            "broker/password": ("login", "password", False),
            "broker/username": ("login", "username", True),
        },
    ),
    (
        {"kind": "redis", "sentinel": SENTINEL, "existingSecret": "login", "tls": True},
        {
            "broker/password": ("login", "password", False),
            "broker/username": ("login", "username", True),
            "broker/ca.crt": ("login", "ca.crt", True),
            "broker/sentinel-password": ("login", "sentinel-password", True),
        },
    ),
    (
        {"kind": "redis", "existingSecret": "login", "tls": True},
        {
            "broker/url": ("login", "url", False),
            "broker/ca.crt": ("login", "ca.crt", True),
        },
    ),
    (
        {"kind": "redis", "host": "cache", "password": PASSWORD},
        {"broker/password": ("jobs-broker", "password", False)},
    ),
    (
        {"kind": "sqs", "region": "eu-central-1", "existingSecret": "key"},
        {
            "broker/username": ("key", "username", False),
            "broker/password": ("key", "password", False),
        },
    ),
    ({"kind": "sqs", "region": "eu-central-1"}, {}),
]


@pytest.mark.parametrize(("broker", "files"), KINDS)
def test_a_broker_of_each_kind_is_reached_with_its_own_keys(
    helm: "Helm", minimal: "Values", broker: dict[str, Any], files: dict[str, Any]
) -> None:
    release = helm.template(_existing(minimal, broker, URL_OF_RESULTS))
    results = {"results/url": ("cache-url", "url", False)}
    for workload in release.celery:
        assert _files(workload) == files | results


def test_an_embedded_redis_has_one_password_for_messages_and_results(
    helm: "Helm", minimal: "Values"
) -> None:
    values = minimal | GENERATED | {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
    release = helm.template(values)
    for workload in release.celery:
        assert _files(workload) == {
            f"{folder}/password": ("jobs-redis", "password", False)
            for folder in ("broker", "results")
        }


def test_an_embedded_redis_with_tls_and_a_user_is_reached_by_both_of_its_roles(
    helm: "Helm", minimal: "Values"
) -> None:
    redis = {"tls": {"enabled": True}, "auth": {"username": "celery"}}
    values = minimal | {
        "broker": {"kind": "redis"},
        "rabbitmq": {"enabled": False},
        "redis": redis,
    }
    release = helm.template(values)
    place = {"kind": "redis", "host": "jobs-redis", "port": 6379, "username": "celery", "tls": True}
    assert release.settings["broker"] == place | {"database": 1}
    assert release.settings["resultBackend"] == place | {"database": 0}
    for workload in (*release.celery, release.workloads["jobs-exporter"]):
        assert _files(workload) == {
            f"{folder}/{key}": (secret, key, False)
            for folder in ("broker", "results")
            for secret, key in (("jobs-redis", "password"), ("jobs-redis-tls", "ca.crt"))
        }


def test_a_new_authority_restarts_what_trusts_it(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    values = minimal | {"redis": {"tls": {"enabled": True}}}
    installed = _online(helm, values, cluster)
    cluster.keep(installed)
    assert _checksums(_online(helm, values, cluster)) == _checksums(installed)
    del cluster.secrets["jobs-redis-tls"]
    renewed = _online(helm, values, cluster)
    assert not _checksums(renewed).items() & _checksums(installed).items()


def test_results_behind_sentinels_are_reached_with_their_own_keys(
    helm: "Helm", minimal: "Values"
) -> None:
    results = {"sentinel": SENTINEL, "existingSecret": "login", "tls": True, "database": 2}
    release = helm.template(_existing(minimal, {"existingSecret": "mq-url"}, results))
    assert release.settings["resultBackend"] == {
        "kind": "redis",
        "sentinel": SENTINEL,
        "tls": True,
        "database": 2,
    }
    assert _files(release.celery[0]) == {
        "broker/url": ("mq-url", "url", False),
        "results/password": ("login", "password", False),
        "results/username": ("login", "username", True),
        "results/ca.crt": ("login", "ca.crt", True),
        "results/sentinel-password": ("login", "sentinel-password", True),
    }


# Rotation


def test_a_new_password_restarts_who_uses_it_and_the_end_of_the_old_one_redis_alone(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    values = minimal | GENERATED
    installed = _online(helm, values, cluster)
    cluster.keep(installed)
    data = installed.one("Secret", "jobs-redis")["data"]
    cluster.put("jobs-redis", data | {"previous-password": data["password"]})
    rotated = _online(helm, values, cluster)
    users = {"jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter", "jobs-redis"}
    assert _restarted(installed, rotated) == users
    cluster.keep(rotated)
    data = rotated.one("Secret", "jobs-redis")["data"]
    cluster.put("jobs-redis", {"password": data["password"]})
    assert _restarted(rotated, _online(helm, values, cluster)) == {"jobs-redis"}


def test_a_new_user_of_rabbitmq_restarts_its_clients_and_not_rabbitmq(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    values = minimal | GENERATED
    installed = _online(helm, values, cluster)
    cluster.keep(installed)
    data = installed.one("Secret", "jobs-rabbitmq")["data"]
    cluster.put("jobs-rabbitmq", data | {"username": "bmV3", "password": "bmV3"})
    clients = {"jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter"}
    assert _restarted(installed, _online(helm, values, cluster)) == clients


def test_an_inline_password_of_a_user_has_that_user(helm: "Helm", minimal: "Values") -> None:
    broker = {"kind": "redis", "host": "cache", "password": PASSWORD}
    alone = helm.template(_existing(minimal, broker, URL_OF_RESULTS))
    assert alone.secret("jobs-broker") == {"password": PASSWORD}
    named = helm.template(_existing(minimal, broker | {"username": "shop"}, URL_OF_RESULTS))
    assert named.secret("jobs-broker") == {"username": "shop", "password": PASSWORD}
    assert "broker/username" in _files(named.celery[0])


def test_results_can_be_encrypted_with_an_authority_of_ones_own(
    helm: "Helm", minimal: "Values"
) -> None:
    results = {"host": "cache", "existingSecret": "login", "tls": True}
    release = helm.template(_existing(minimal, {"existingSecret": "mq-url"}, results))
    assert _files(release.celery[0])["results/ca.crt"] == ("login", "ca.crt", True)


def test_the_pods_can_have_a_cloud_identity_instead_of_a_key(
    helm: "Helm", minimal: "Values"
) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"}
    minimal["serviceAccount"] = {"annotations": role}
    accounts = helm.template(minimal).all("ServiceAccount")
    assert [account["metadata"]["name"] for account in accounts] == ["jobs-exporter", "jobs-celery"]
    assert all(account["metadata"]["annotations"] == role for account in accounts)


@pytest.mark.parametrize(("broker", "results", "files"), EXISTING)
def test_existing_services_are_reached_with_their_own_credentials(
    helm: "Helm",
    minimal: "Values",
    broker: dict[str, Any],
    results: dict[str, Any],
    files: dict[str, Any],
) -> None:
    release = helm.template(_existing(minimal, broker, results))
    assert not release.all("StatefulSet")
    for workload in release.celery:
        assert _files(workload) == files


def test_inline_passwords_end_up_in_secrets_alone(helm: "Helm", minimal: "Values") -> None:
    broker, results, _ = EXISTING[2]
    release = helm.template(_existing(minimal, broker, results))
    assert release.secret("jobs-broker") == {"username": "shop", "password": PASSWORD}
    assert release.secret("jobs-results") == {"password": PASSWORD}
    others = json.dumps([o for o in release.objects if o["kind"] != "Secret"])
    assert PASSWORD not in others
    assert base64.b64encode(PASSWORD.encode()).decode() not in others


def test_the_notes_tell_no_secret(helm: "Helm", minimal: "Values") -> None:
    broker, results, _ = EXISTING[2]
    assert PASSWORD not in helm.notes(_existing(minimal, broker, results))


def test_a_changed_inline_password_restarts_the_celery_pods(
    helm: "Helm", minimal: "Values"
) -> None:
    broker, results, _ = EXISTING[2]
    before = helm.template(_existing(minimal, broker, results))
    after = helm.template(_existing(minimal, broker | {"password": "new"}, results))
    assert _checksums(before).keys() == {"jobs-worker-cpu", "jobs-worker-io", "jobs-beat"}
    assert not _checksums(before).items() & _checksums(after).items()


def test_an_upgrade_keeps_what_was_generated_and_restarts_nothing(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    values = minimal | GENERATED
    installed = _online(helm, values, cluster)
    cluster.keep(installed)
    upgraded = _online(helm, values, cluster)
    for name in ("jobs-rabbitmq", "jobs-redis"):
        assert upgraded.secret(name) == installed.secret(name)
    assert _checksums(upgraded) == _checksums(installed)


def test_a_secret_that_lost_a_key_gets_only_that_key_anew(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    held = {"username": "bunny", "password": "held"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in held.items()}
    cluster.put("jobs-rabbitmq", data)
    found = _online(helm, minimal | GENERATED, cluster).secret("jobs-rabbitmq")
    assert found | held == found
    assert len(found["erlang-cookie"]) == 32


def test_a_rotated_secret_restarts_the_celery_pods_at_the_next_upgrade(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    broker, results, _ = EXISTING[0]
    for values in (minimal, _existing(minimal, broker, results)):
        for name in ("shop-redis", "cache-login"):
            cluster.put(name, {"password": "b2xk"})
        before = _checksums(_online(helm, values, cluster))
        for name in ("shop-redis", "cache-login"):
            cluster.put(name, {"password": "bmV3"})
        after = _checksums(_online(helm, values, cluster))
        assert not before.items() & after.items()


@pytest.mark.parametrize("password", ["é", "typed by echo\n"])
def test_a_password_that_rabbitmq_would_misread_is_refused_where_it_is_seen(
    helm: "Helm", minimal: "Values", cluster: "Cluster", password: str
) -> None:
    _hold(cluster, f"{PASSWORD} ~")
    _online(helm, minimal, cluster)
    _hold(cluster, password)
    with pytest.raises(Exception, match="Error: ") as refused:
        _online(helm, minimal, cluster)
    assert "the password in shop-rabbitmq is not all printable ASCII" in str(refused.value)


def test_a_key_that_no_pod_reads_restarts_nothing(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    before = _checksums(_online(helm, minimal, cluster))
    cluster.put("shop-rabbitmq", {"erlang-cookie": "bmV3"})
    assert _checksums(_online(helm, minimal, cluster)) == before


def test_rabbitmqs_secret_outlives_the_release_like_its_volume(
    helm: "Helm", minimal: "Values"
) -> None:
    secret = helm.template(minimal | GENERATED).one("Secret", "jobs-rabbitmq")
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def _hold(cluster: "Cluster", password: str) -> None:
    cluster.put("shop-rabbitmq", {"password": base64.b64encode(password.encode()).decode()})


def _online(helm: "Helm", values: "Values", cluster: "Cluster") -> "Release":
    helm.rendered.clear()
    return helm.template(values, *cluster.options)


def _existing(minimal: "Values", broker: "Object", results: "Object") -> "Values":
    return minimal | {
        "broker": {"mode": "existing", **broker},
        "rabbitmq": {"enabled": False},
        "resultBackend": {"mode": "existing", **results},
        "redis": {"enabled": False},
    }


def _files(workload: "Workload") -> dict[str, tuple[str, str, bool]]:
    """Every file of a secret below the runtime's directory: Secret, key, may be missing."""
    sources = workload.spec["volumes"][0]["projected"]["sources"]
    return {
        item["path"]: (secret["name"], item["key"], secret.get("optional", False))
        for secret in (source["secret"] for source in sources if "secret" in source)
        for item in secret["items"]
    }


def _restarted(before: "Release", after: "Release") -> set[str]:
    """The workloads whose pods an upgrade replaces."""
    was, now = before.workloads, after.workloads
    kinds = ("Deployment", "StatefulSet")
    return {
        name
        for name, workload in now.items()
        if workload.owner["kind"] in kinds
        and (workload.metadata, workload.spec) != (was[name].metadata, was[name].spec)
    }


def _checksums(release: "Release") -> dict[str, str]:
    return {w.name: w.metadata["annotations"]["checksum/runtime"] for w in release.celery}
