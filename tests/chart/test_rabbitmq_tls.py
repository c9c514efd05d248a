"""RabbitMQ by TLS: its certificate, its ports, and those who connect."""

import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Release, Values

TLS = {"rabbitmq": {"auth": {"existingSecret": "shop-rabbitmq"}, "tls": {"enabled": True}}}
OWN = {"rabbitmq": {"tls": {"enabled": True, "existingSecret": "shop-tls"}}}
FOLDER = "/etc/rabbitmq-tls"


def test_the_certificate_is_for_the_service_and_of_the_authority(
    helm: "Helm", minimal: "Values"
) -> None:
    secret = helm.template(minimal | TLS).secret("jobs-rabbitmq-tls")
    authority, certificate = (
        x509.load_pem_x509_certificate(secret[key].encode()) for key in ("ca.crt", "tls.crt")
    )
    certificate.verify_directly_issued_by(authority)
    key = load_pem_private_key(secret["tls.key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "jobs-rabbitmq",
        "jobs-rabbitmq.celery-demo",
        "jobs-rabbitmq.celery-demo.svc",
    ]


def test_an_upgrade_keeps_the_certificate(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    first = helm.template(minimal | TLS)
    cluster.keep(first)
    second = helm.template(minimal | TLS, *cluster.options)
    assert second.secret("jobs-rabbitmq-tls") == first.secret("jobs-rabbitmq-tls")


def test_a_secret_that_lost_a_key_gets_another_certificate(
    helm: "Helm", minimal: "Values", cluster: "Cluster"
) -> None:
    first = helm.template(minimal | TLS).secret("jobs-rabbitmq-tls")
    key = base64.b64encode(first["tls.key"].encode()).decode()
    cluster.put("jobs-rabbitmq-tls", {"tls.key": key})
    second = helm.template(minimal | TLS, *cluster.options).secret("jobs-rabbitmq-tls")
    assert second.keys() == first.keys()
    assert not first.items() & second.items()


def test_nothing_is_open_without_it(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal | TLS)
    conf = _conf(release)
    assert conf["listeners.tcp"] == "none"
    # The management plugin listens to plain HTTP only where it is told no other port, or that too.
    assert conf["management.ssl.port"] == "15671"
    assert not [key for key in conf if key.startswith("management.tcp")]
    ports = {p["name"]: p["port"] for p in release.one("Service", "jobs-rabbitmq")["spec"]["ports"]}
    assert ports == {"amqp": 5671, "management": 15671, "prometheus": 15692}
    container = release.workloads["jobs-rabbitmq"].container
    for port in container["ports"]:
        assert port["containerPort"] == ports.get(port["name"], port["containerPort"])
    assert conf["listeners.ssl.default"] == str(ports["amqp"])


def test_probes_ask_by_it_where_it_is_spoken(helm: "Helm", minimal: "Values") -> None:
    secured = helm.template(minimal | TLS).workloads["jobs-rabbitmq"].container["livenessProbe"]
    assert secured["httpGet"] == {"path": "/", "port": "management", "scheme": "HTTPS"}
    plain = helm.template(minimal).workloads["jobs-rabbitmq"].container["livenessProbe"]
    assert plain["httpGet"] == {"path": "/", "port": "management"}


@pytest.mark.parametrize(("values", "name"), [(TLS, "jobs-rabbitmq-tls"), (OWN, "shop-tls")])
def test_the_server_shows_the_certificate_of_the_secret(
    helm: "Helm", minimal: "Values", values: dict[str, Any], name: str
) -> None:
    release = helm.template(minimal | values)
    broker = release.workloads["jobs-rabbitmq"]
    (volume,) = [v for v in broker.spec["volumes"] if v["name"] == "tls"]
    assert volume["secret"]["secretName"] == name
    # The authority is for the others: the server asks nobody for a certificate.
    files = {item["path"] for item in volume["secret"]["items"]}
    (mount,) = [m for m in broker.container["volumeMounts"] if m["name"] == "tls"]
    conf = _conf(release)
    for section in ("ssl_options", "management.ssl"):
        shown = {conf[f"{section}.{key}"] for key in ("certfile", "keyfile")}
        assert shown == {f"{mount['mountPath']}/{file}" for file in files}
    made = [o["metadata"]["name"] for o in release.all("Secret")]
    assert ("jobs-rabbitmq-tls" in made) is (values is TLS)


@pytest.mark.parametrize(("values", "name"), [(TLS, "jobs-rabbitmq-tls"), (OWN, "shop-tls")])
def test_clients_trust_the_authority_of_the_secret(
    helm: "Helm", minimal: "Values", values: dict[str, Any], name: str
) -> None:
    release = helm.template(minimal | values)
    broker = release.settings["broker"]
    assert (broker["host"], broker["port"], broker["tls"]) == ("jobs-rabbitmq", 5671, True)
    for workload in release.celery:
        (volume,) = [v for v in workload.spec["volumes"] if v["name"] == "celery-runtime"]
        (source,) = [
            s["secret"]
            for s in volume["projected"]["sources"]
            if s.get("secret", {}).get("name") == name
        ]
        assert source["items"] == [{"key": "ca.crt", "path": "broker/ca.crt"}]
        # The system's authorities count where the Secret has none.
        assert source["optional"] is True


def test_the_exporter_asks_the_management_api_by_it(helm: "Helm", minimal: "Values") -> None:
    exporter = helm.template(minimal | TLS).workloads["jobs-exporter"]
    assert exporter.env["CELERY_EXPORTER_MANAGEMENT_URL"] == "https://jobs-rabbitmq:15671"


def test_who_cannot_be_told_the_authority_is_refused(helm: "Helm", minimal: "Values") -> None:
    minimal |= TLS | {"runtime": False, "autoscaling": {"mode": "keda-triggers"}}
    with pytest.raises(Exception, match="Error: ") as refused:
        helm.template(minimal)
    assert (
        "rabbitmq.tls.enabled: needs celery_runtime in the image, because a URL cannot name the "
        "authority, and runtime is false. Set it to false."
    ) in str(refused.value)
    assert (
        "rabbitmq.tls.enabled: KEDA's own trigger cannot be told the authority. Use "
        "autoscaling.mode keda, or set it to false."
    ) in str(refused.value)


def _conf(release: "Release") -> dict[str, str]:
    text = release.one("ConfigMap", "jobs-rabbitmq")["data"]["rabbitmq.conf"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)
