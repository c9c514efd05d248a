"""The external metrics as the API server asks for them: TLS, certificates, documents."""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_exporter.externalmetrics import Server
from celery_exporter.externalmetrics.proxy import FrontProxy, parse
from celery_exporter.externalmetrics.selectors import Selector, SelectorError
from celery_runtime.errors import PortTakenError, SettingsError
from tests.certificates import Authority, Pair
from tests.exporter.worlds import World, group, pod, work

METRICS = "/apis/external.metrics.k8s.io/v1beta1"
DESIRED = f"{METRICS}/namespaces/shop/celery_desired_replicas"
READY = f"{METRICS}/namespaces/shop/rabbitmq_queue_messages_ready"
PROXY = "front-proxy-client"


class Cluster:
    """An API server: its front proxy, and the exporter's API behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers, self.clients = Authority(), Authority()
        self.servers.signed("exporter").write(folder)
        self.proxy = self.clients.signed(PROXY)
        self.world = World(group("io", "email"), group("cpu", "images"))
        self.world.tick(times=15)
        self.asked = 0
        self.server = self.make()

    def make(self, port: int = 0) -> Server:
        return Server(
            lambda: self.world.board.view,
            self.ask_proxy,
            namespace="shop",
            port=port,
            tls_directory=self.folder,
        )

    def ask_proxy(self) -> FrontProxy:
        self.asked += 1
        return FrontProxy(self.clients.certificate.decode(), frozenset({PROXY}))

    def get(self, path: str, shown: Pair | None = None) -> tuple[int, Any]:
        context = ssl.create_default_context(cadata=self.servers.certificate.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        pair = shown or self.proxy
        pair.write(self.folder.parent)
        context.load_cert_chain(self.folder.parent / "tls.crt", self.folder.parent / "tls.key")
        return self.get_by(context, path)

    def get_by(self, context: ssl.SSLContext, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, context=context, timeout=10
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "tls").mkdir()
    cluster = Cluster(tmp_path / "tls")
    cluster.server.start()
    yield cluster
    cluster.server.stop()


def test_an_hpa_is_told_the_replicas_of_its_group(cluster: Cluster) -> None:
    cluster.world.ready = {"email": 400, "images": 0}
    cluster.world.tick()
    status, answer = cluster.get(f"{DESIRED}?labelSelector=group%3Dio")
    assert (status, answer["kind"], answer["apiVersion"]) == (
        200,
        "ExternalMetricValueList",
        "external.metrics.k8s.io/v1beta1",
    )
    (item,) = answer["items"]
    assert item["metricName"] == "celery_desired_replicas"
    assert item["metricLabels"] == {"group": "io"}
    assert int(item["value"]) == cluster.world.desired()
    assert item["timestamp"].endswith("Z")


def test_the_article_s_metric_is_told_by_queue(cluster: Cluster) -> None:
    cluster.world.ready = {"email": 7, "images": 9}
    cluster.world.tick()
    _, answer = cluster.get(f"{READY}?labelSelector=queue%20in%20(email,other)")
    assert [item["value"] for item in answer["items"]] == ["7"]
    _, answer = cluster.get(READY)
    assert [item["value"] for item in answer["items"]] == ["7", "9"]


def test_the_api_is_discovered(cluster: Cluster) -> None:
    assert cluster.get("/apis")[1]["kind"] == "APIGroupList"
    assert (
        cluster.get("/apis/external.metrics.k8s.io")[1]["preferredVersion"]["version"] == "v1beta1"
    )
    _, resources = cluster.get(METRICS)
    assert resources["kind"] == "APIResourceList"
    assert {each["name"] for each in resources["resources"]} == {
        "celery_desired_replicas",
        "rabbitmq_queue_messages_ready",
    }


@pytest.mark.parametrize(
    ("path", "code", "reason", "message"),
    [
        (f"{METRICS}/namespaces/shop/other", 404, "NotFound", "Known are: celery_desired"),
        (f"{METRICS}/namespaces/else/celery_desired_replicas", 404, "NotFound", "'shop' are"),
        (f"{DESIRED}?labelSelector=group%3Doi", 404, "NotFound", "Known are: cpu, io"),
        (f"{DESIRED}?labelSelector=group%3D%3D%3D", 400, "BadRequest", "is no label selector"),
        ("/openapi/v2", 404, "NotFound", "nothing at /openapi/v2"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(
    cluster: Cluster, path: str, code: int, reason: str, message: str
) -> None:
    status, answer = cluster.get(path)
    assert (status, answer["kind"], answer["code"], answer["reason"]) == (
        code,
        "Status",
        code,
        reason,
    )
    assert message in answer["message"]


@pytest.mark.parametrize("path", [DESIRED, READY])
def test_what_is_not_known_is_an_error_and_no_zero(cluster: Cluster, path: str) -> None:
    cluster.world.ready, cluster.world.pods = None, None
    cluster.world.tick(times=5)
    status, answer = cluster.get(path)
    assert (status, answer["reason"]) == (503, "ServiceUnavailable")
    assert "is not known of" in answer["message"]


def test_nobody_but_the_front_proxy_may_ask(cluster: Cluster) -> None:
    assert cluster.get("/apis")[0] == 200
    status, answer = cluster.get("/apis", cluster.clients.signed("somebody"))
    assert (status, answer["reason"]) == (403, "Forbidden")
    with pytest.raises(OSError, match=r"(?i)ssl|reset|closed|alert|EOF"):
        cluster.get("/apis", Authority().signed(PROXY))
    context = ssl.create_default_context(cadata=cluster.servers.certificate.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with pytest.raises(OSError, match=r"(?i)ssl|reset|closed|alert|EOF|certificate"):
        cluster.get_by(context, "/apis")


def test_a_certificate_that_is_replaced_is_shown_to_the_next_client(cluster: Cluster) -> None:
    assert cluster.get("/apis")[0] == 200
    cluster.servers = Authority()
    cluster.servers.signed("exporter").write(cluster.folder)
    assert cluster.get("/apis")[0] == 200


def test_kubernetes_is_not_asked_for_each_connection_who_the_front_proxy_is(
    cluster: Cluster,
) -> None:
    for _ in range(5):
        cluster.get("/apis")
    assert cluster.asked == 1


def test_a_port_that_is_taken_is_said_with_its_variable(cluster: Cluster) -> None:
    with pytest.raises(PortTakenError, match="CELERY_EXPORTER_API_PORT"):
        cluster.make(cluster.server.port)


def test_a_directory_without_certificates_is_refused(cluster: Cluster) -> None:
    (cluster.folder / "tls.key").unlink()
    with pytest.raises(SettingsError, match=r"API_TLS_DIR has to hold tls\.crt and tls\.key"):
        cluster.make()


def test_the_front_proxy_is_as_the_config_map_says() -> None:
    said = {"requestheader-client-ca-file": "PEM", "requestheader-allowed-names": '["a", "b"]'}
    assert parse(said) == FrontProxy("PEM", frozenset({"a", "b"}))
    with pytest.raises(LookupError, match=r"autoscaling\.mode keda"):
        parse({"client-ca-file": "PEM"})


def test_without_allowed_names_the_authority_is_enough() -> None:
    named: Callable[[str], Any] = lambda name: {"subject": ((("commonName", name),),)}  # noqa: E731
    assert FrontProxy("PEM", frozenset()).admits(named("anybody"))
    assert FrontProxy("PEM", frozenset({"a"})).admits(named("a"))
    assert not FrontProxy("PEM", frozenset({"a"})).admits(named("b"))
    assert not FrontProxy("PEM", frozenset()).admits(None)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("queue=email", True),
        ("queue == email", True),
        ("queue!=email", False),
        ("queue in (email, bulk)", True),
        ("queue notin (email)", False),
        ("queue", True),
        ("!queue", False),
        ("!other,queue=email", True),
        ("other!=x", True),
        ("queue=email,other=x", False),
    ],
)
def test_selectors_are_those_of_kubernetes(text: str, matches: bool) -> None:
    assert Selector.parse(text).matches({"queue": "email"}) is matches


@pytest.mark.parametrize("text", ["a b", "=x", "a in b", "a=b,,", "a in (b"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="is no label selector"):
        Selector.parse(text)


def test_a_busy_group_is_never_told_to_shrink_below_its_long_tasks(cluster: Cluster) -> None:
    cluster.world.pods = [pod(f"io-{number}", does=work(600.0)) for number in range(3)]
    cluster.world.tick(times=3)
    _, answer = cluster.get(f"{DESIRED}?labelSelector=group%3Dio")
    assert answer["items"][0]["value"] == "3"
