"""The chart's NetworkPolicies cut nothing that work needs, and what they refuse is refused."""

from collections.abc import Iterator

import pytest

from ci.demo import RELEASE
from tests.cluster.release.enforcement import enforced
from tests.cluster.shop import Shop, eventually

COMPONENT = r"podSelector.matchLabels.app\.kubernetes\.io/component"
NAME = r"podSelector.matchLabels.app\.kubernetes\.io/name"
#: As narrow as the shop allows: its web server sends, its workers talk to its other parts.
NARROW = (
    f"networkPolicy.clients[0].{COMPONENT}=web",
    f"networkPolicy.viewers[0].{COMPONENT}=web",
    f"networkPolicy.appEgress[0].to[0].{NAME}=shop",
)
CONNECT = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
"""
METRICS = "http://localhost:9808/metrics"
READ = f"import urllib.request as r; print(r.urlopen({METRICS!r}, timeout=5).read().decode())"


#: From a Deployment to a host's port, and whether that is among what they list.
CONNECTIONS = [
    ("shop-web", f"{RELEASE}-rabbitmq", 5672, True),
    ("shop-web", f"{RELEASE}-redis", 6379, True),
    ("shop-web", f"{RELEASE}-exporter", 9808, True),
    ("shop-web", f"{RELEASE}-rabbitmq", 15672, False),
    ("shop-gateway", f"{RELEASE}-rabbitmq", 5672, False),
    ("shop-gateway", f"{RELEASE}-redis", 6379, False),
    ("shop-gateway", f"{RELEASE}-exporter", 9808, False),
    (f"{RELEASE}-exporter", f"{RELEASE}-redis", 6379, False),
    (f"{RELEASE}-worker-io", "shop-gateway", 8000, True),
    (f"{RELEASE}-worker-io", f"{RELEASE}-rabbitmq", 15672, False),
    (f"{RELEASE}-worker-io", "kube-dns.kube-system", 9153, False),
]


@pytest.fixture(scope="module")
def narrow(shop: Shop) -> Iterator[Shop]:
    """The shop where only what the policies list passes; every Celery pod is new in it."""
    shop.upgrade(*NARROW)
    try:
        with enforced(shop):
            selector = "--selector=app.kubernetes.io/name=celery"
            shop.kubectl("rollout", "restart", "deployment", selector)
            shop.kubectl("rollout", "status", "deployment", selector, "--timeout=120s")
            yield shop
    finally:
        shop.upgrade()


def test_without_policies_all_of_it_passes(shop: Shop) -> None:
    """What is refused below is refused by them alone."""
    shop.upgrade("networkPolicy.enabled=false")
    try:
        with enforced(shop):
            refused = [each for each in CONNECTIONS if not _connects(shop, *each[:3])]
    finally:
        shop.upgrade()
    assert not refused


@pytest.mark.parametrize(("source", "target", "port", "passes"), CONNECTIONS)
def test_what_is_listed_passes_and_nothing_else(
    narrow: Shop, source: str, target: str, port: int, passes: bool
) -> None:
    assert _connects(narrow, source, target, port) is passes


def test_the_pipelines_are_done(narrow: Shop) -> None:
    report = narrow.run("--orders=2", "--users=1", "--emails=2", "--photos=1")
    assert report["undone"] == []
    assert report["effects"]["emails_delivered"] == 2


def test_beat_sends_and_its_tasks_are_done(narrow: Shop) -> None:
    def ticks() -> int:
        return int(narrow.sql("SELECT count(*) FROM shop_tick")[0][0])

    before = ticks()
    eventually(lambda: ticks() > before, within_seconds=40, what="another tick")


def test_the_exporter_reads_broker_and_workers(narrow: Shop) -> None:
    def reads() -> bool:
        page = narrow.exec(f"deploy/{RELEASE}-exporter", "python", "-c", READ)
        sources = ("broker", "workers")
        return all(f'celery_exporter_up{{source="{source}"}} 1' in page for source in sources)

    eventually(reads, within_seconds=30, what="the exporter reads the broker and the workers")


def test_helm_test_finds_a_consumer_of_every_queue(narrow: Shop) -> None:
    assert "Succeeded" in narrow.helm("test", RELEASE, "--timeout=2m")


def _connects(shop: Shop, source: str, target: str, port: int) -> bool:
    return shop.does(f"deploy/{source}", "python", "-c", CONNECT, target, str(port))
