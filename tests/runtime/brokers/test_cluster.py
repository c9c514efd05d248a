"""A Redis Cluster, with which neither kombu 5.7 nor Celery 5.7 works, is refused by its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from celery_runtime import SettingsError, configure
from tests.runtime.brokers.conftest import furnish, new_queues
from tests.runtime.brokers.redisservers import RedisProcess, cluster_node
from tests.runtime.brokers.servers import PASSWORD
from tests.runtime.conftest import Mounted, Start

REFUSAL = "is a Redis Cluster, with which Celery cannot work: it does not follow keys from node to"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RedisProcess]:
    """A node that is a whole cluster."""
    started = cluster_node(tmp_path / "node")
    started.start()
    slots = ("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    started.client.execute_command(*slots)
    yield started
    started.remove()


@pytest.fixture
def clustered(mounted: Mounted, node: RedisProcess) -> Mounted:
    """Broker and results on it."""
    furnish(mounted, node, *new_queues())
    mounted.settings["resultBackend"] = node.settings
    mounted.secret("results/password", PASSWORD)
    mounted.write()
    return mounted


def test_a_worker_ends_and_says_why(clustered: Mounted, celery: Start) -> None:
    queues = ",".join(clustered.settings["queues"])
    service = celery("worker", "--pool=solo", f"--queues={queues}")
    assert service.process.wait(timeout=20) != 0
    assert f"broker {REFUSAL}" in service.log.read_text()


def test_a_producer_is_told(clustered: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(clustered.path))
    app = Celery(set_as_current=False)
    configure(app)
    with pytest.raises(SettingsError, match=f"broker {REFUSAL}"):
        app.send_task("shop.send_email")
    app.close()


@pytest.mark.usefixtures("clustered")
def test_beat_ends_and_says_why(beat: Start) -> None:
    service = beat()
    assert service.process.wait(timeout=20) != 0
    assert f"resultBackend {REFUSAL}" in service.log.read_text()
