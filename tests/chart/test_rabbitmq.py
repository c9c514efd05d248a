"""The embedded broker, which also installs alone."""

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Workload


def test_it_installs_alone(helm: "Helm") -> None:
    release = helm.template({}, chart="rabbitmq", release="mq")
    assert {(o["kind"], o["metadata"]["name"]) for o in release.objects} == {
        ("ConfigMap", "mq-rabbitmq"),
        ("Secret", "mq-rabbitmq"),
        ("Service", "mq-rabbitmq"),
        ("Service", "mq-rabbitmq-nodes"),
        ("StatefulSet", "mq-rabbitmq"),
    }


@pytest.mark.parametrize(
    ("memory", "watermark", "log"),
    [
        ("1Gi", 644245094, 128 * 2**20),
        ("512M", 307200000, 64_000_000),
        ("1.5Gi", 966367641, 192 * 2**20),
        (2**31, 1288490188, 256 * 2**20),
        ("16Gi", 10307921510, 512 * 2**20),
    ],
)
def test_memory_settings_follow_the_limit(
    helm: "Helm", memory: str | int, watermark: int, log: int
) -> None:
    conf = _conf(helm, {"resources": {"limits": {"memory": memory}}})
    assert conf["vm_memory_high_watermark.absolute"] == str(watermark)
    assert conf["raft.wal_max_size_bytes"] == str(log)


def test_the_rest_of_its_configuration_follows_the_values(helm: "Helm") -> None:
    conf = _conf(helm, {"consumerTimeoutSeconds": 86400, "storage": {"size": "20Gi"}})
    assert conf["consumer_timeout"] == "86400000"
    assert conf["disk_free_limit.absolute"] == str(4 * 2**30)
    assert conf["default_queue_type"] == "quorum"


def test_settings_of_ones_own_come_last_as_the_later_of_two_lines_counts(helm: "Helm") -> None:
    own = {"channel_max": 512, "raft.wal_max_size_bytes": 8388608, "log.console.level": "debug"}
    broker = helm.template({"config": own}, chart="rabbitmq", release="mq")
    lines = broker.one("ConfigMap", "mq-rabbitmq")["data"]["rabbitmq.conf"].splitlines()
    assert lines[-3:] == [
        "channel_max = 512",
        "log.console.level = debug",
        "raft.wal_max_size_bytes = 8388608",
    ]


def test_its_plugins_are_those_that_somebody_asks(helm: "Helm") -> None:
    """Peers are listed by name, and need none."""
    release = helm.template({}, chart="rabbitmq", release="mq")
    text = release.one("ConfigMap", "mq-rabbitmq")["data"]["enabled_plugins"]
    assert re.fullmatch(r"\[\w+(,\w+)*\]\.\n", text), "no list as Erlang reads it"
    assert set(re.findall(r"\w+", text)) == {"rabbitmq_management", "rabbitmq_prometheus"}
    # Where RabbitMQ looks for them, in place of the image's own.
    broker = release.workloads["mq-rabbitmq"]
    (config,) = [v for v in broker.spec["volumes"] if v["name"] == "config"]
    assert config["configMap"] == {"name": "mq-rabbitmq"}
    mounts = {m["name"]: m["mountPath"] for m in broker.container["volumeMounts"]}
    assert mounts["config"] == "/etc/rabbitmq"


def test_the_cookie_becomes_a_file_of_its_owner_alone(helm: "Helm") -> None:
    broker = _broker(helm)
    (cookie,) = broker.spec["initContainers"]
    assert cookie["command"][:3] == ["install", "-m", "0400"]
    assert cookie["command"][4] == "/var/lib/rabbitmq/.erlang.cookie"
    homes = [m["mountPath"] for m in broker.container["volumeMounts"] if m["name"] == "home"]
    assert homes == ["/var/lib/rabbitmq"]
    (volume,) = [v for v in broker.spec["volumes"] if v["name"] == "cookie"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["erlang-cookie"]


def test_credentials_come_from_the_secret(helm: "Helm") -> None:
    env = {e["name"]: e.get("valueFrom") for e in _broker(helm, "login").container["env"]}
    assert env["RABBITMQ_DEFAULT_USER"] == {"secretKeyRef": {"name": "login", "key": "username"}}
    assert env["RABBITMQ_DEFAULT_PASS"] == {"secretKeyRef": {"name": "login", "key": "password"}}


def test_an_existing_secret_replaces_the_generated_one(helm: "Helm") -> None:
    values = {"auth": {"existingSecret": "login"}}
    assert not helm.template(values, chart="rabbitmq", release="mq").all("Secret")


def test_its_threads_are_bound_to_no_core_that_another_binds_its_own_to(helm: "Helm") -> None:
    assert _broker(helm).env["RABBITMQ_SCHEDULER_BIND_TYPE"] == "u"


def test_the_node_has_a_name_that_outlives_its_pod(helm: "Helm") -> None:
    broker = _broker(helm)
    assert broker.env["RABBITMQ_USE_LONGNAME"] == "true"
    assert broker.env["RABBITMQ_NODENAME"] == (
        "rabbit@$(POD_NAME).mq-rabbitmq-nodes.$(POD_NAMESPACE).svc.cluster.local"
    )
    assert broker.owner["spec"]["serviceName"] == "mq-rabbitmq-nodes"
    service = helm.template({}, chart="rabbitmq", release="mq").one("Service", "mq-rabbitmq-nodes")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_data_is_on_a_volume_of_the_size_asked_for(helm: "Helm") -> None:
    values = {"storage": {"size": "3Gi", "className": "fast"}}
    owner = helm.template(values, chart="rabbitmq", release="mq").one("StatefulSet", "mq-rabbitmq")
    (claim,) = owner["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "helm.sh/chart" not in claim["metadata"]["labels"]


def test_probes_start_no_process(helm: "Helm") -> None:
    container = _broker(helm).container
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "exec" not in container[kind]


def _broker(helm: "Helm", secret: str = "") -> "Workload":
    values = {"auth": {"existingSecret": secret}}
    return helm.template(values, chart="rabbitmq", release="mq").workloads["mq-rabbitmq"]


def _conf(helm: "Helm", values: dict[str, object]) -> dict[str, str]:
    release = helm.template(values, chart="rabbitmq", release="mq")
    text = release.one("ConfigMap", "mq-rabbitmq")["data"]["rabbitmq.conf"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)
