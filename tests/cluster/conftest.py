"""The shop, installed once for each test process; what a failed test leaves behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_helm_charts.clusters import Cluster
from xdist.scheduler import LoadScopeScheduling

from ci.demo import Target, install
from ci.images import Image
from ci.paths import ROOT
from tests.cluster.shop import SMALL, Shop

DIAGNOSTICS = Path(__file__).parent / "diagnostics"
INSTALLED = pytest.StashKey[Shop]()
#: The order in which processes take files: whoever begins with the longest is not left alone with
#: it at the end. A file of one or two tests is taken together with one more: the faults with the
#: sixth, the rotation with the seventh.
LONGEST_FIRST = (
    "test_autoscaling",
    "test_hpa",
    "test_keda",
    "test_faults",
    "test_rabbitmq_nodes",
    "test_redis_broker",
    "test_rotation",
    "test_install",
    "test_production",
    "test_upgrade",
    "test_triggers",
    "test_start",
    "test_interruption",
    "test_network",
    "test_security",
    "test_workloads",
)
#: These stop KEDA, of which there is one, or rely on it and hold no lock.
TOGETHER = {"test_autoscaling", "test_hpa", "test_keda"}


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Tests of one file, or of those that are to be together, run in one process, on one shop."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return str(file.parent if file.stem in TOGETHER else file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Share the tests out among processes."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, after those that are no test of a cluster."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}

    def place(path: Path) -> int:
        ours = Path(__file__).parent in path.parents
        return places.get(path.stem, len(places)) if ours else -1

    items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Install the shop and the chart into a namespace of their own; removed at the end."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    installed = Shop(target(f"celery-test-{process}", ROOT / "values" / "dev.yaml"))
    request.config.stash[INSTALLED] = installed
    installed.remove()
    install(installed.target)
    yield installed
    installed.remove(wait=False)


def target(namespace: str, *values: Path, autoscaling: str = "none") -> Target:
    """Return where to install the images under test, and by which values."""
    image, exporter = (
        Image(*os.environ[name].rsplit(":", 1)) for name in ("DEMO_IMAGE", "EXPORTER_IMAGE")
    )
    return Target(
        # Programs of a tenth of a second, hundreds of them.
        {**os.environ, "GOGC": "400"},
        image,
        exporter,
        namespace=namespace,
        autoscaling=autoscaling,
        values=(*values, SMALL),
    )


@contextmanager
def relying_on_keda(folders: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of the tests has stopped KEDA; none does meanwhile."""
    with _keda_lock(folders, fcntl.LOCK_SH):
        yield


@contextmanager
def alone_with_keda(folders: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of the tests relies on KEDA, which may then be stopped."""
    with _keda_lock(folders, fcntl.LOCK_EX):
        yield


@contextmanager
def _keda_lock(folders: pytest.TempPathFactory, kind: int) -> Iterator[None]:
    # The folder of all processes.
    with (folders.getbasetemp().parent / "keda.lock").open("w") as lock:
        fcntl.flock(lock, kind)
        yield


@pytest.fixture
def api(kube_cluster: Cluster) -> object:
    """Return the pykube client of pytest-helm-charts' cluster."""
    return kube_cluster.kube_client


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep the pods' logs and events of a failed test, and say where."""
    report = yield
    if report.failed and (installed := item.config.stash.get(INSTALLED, None)):  # type: ignore[attr-defined]
        DIAGNOSTICS.mkdir(exist_ok=True)
        file = DIAGNOSTICS / f"{item.name}-{call.when}.txt"
        file.write_text(installed.diagnosis())
        report.sections.append(("diagnostics", f"Pods, events and logs: {file}"))  # type: ignore[attr-defined]
    return report
