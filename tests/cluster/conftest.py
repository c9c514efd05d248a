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
#: The folders in the order in which processes take them: whoever begins with the longest is not
#: left alone with it at the end.
LONGEST_FIRST = ("scaling", "faults", "servers", "work", "release", "production")


class ByFolder(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Tests of one folder run in one process, on one shop."""

    def _split_scope(self, nodeid: str) -> str:
        return str(Path(nodeid.partition("::")[0]).parent)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder:
    """Share the tests out among processes."""
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, after those that are no test of a cluster."""
    places = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, -1))


@pytest.fixture(scope="session")
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Install the shop and the chart into a namespace of their own; removed at the end."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    installed = Shop(target(f"celery-test-{process}", ROOT / "values" / "dev.yaml"))
    request.config.stash[INSTALLED] = installed
    installed.remove()
    install(installed.target)
    yield installed
    installed.remove()


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
def alone_with_keda(folders: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of the tests needs KEDA, or has stopped it."""
    # The folder of all processes.
    with (folders.getbasetemp().parent / "keda.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
