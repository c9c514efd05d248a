"""A fleet: an API of Kubernetes, workers, and what reads them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_exporter.fleet.asking import ask
from celery_exporter.fleet.reading import Fleet
from celery_exporter.groups import Groups
from tests.exporter.fleet.kubeapi import GROUP_LABEL, LABELS, NAMESPACE, KubeApi, raw_pod
from tests.exporter.fleet.workers import FakeWorker


class Release:
    """Pods that Kubernetes lists, and the workers that answer in them."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api
        self.ports: dict[str, int] = {}

    def start(self, name: str, **changes: Any) -> FakeWorker:  # noqa: ANN401
        """A pod with a worker that answers."""
        worker = FakeWorker(name)
        self.answer(name, worker.port)
        self.list(name, **changes)
        return worker

    def list(self, name: str, **changes: Any) -> None:  # noqa: ANN401
        """A pod, or what has become of it."""
        self.unlist(name)
        self.api.pods.append(raw_pod(name, **changes))

    def unlist(self, name: str) -> None:
        """Kubernetes knows it no more."""
        self.api.pods[:] = [pod for pod in self.api.pods if pod["metadata"]["name"] != name]

    def answer(self, name: str, port: int) -> None:
        """Who answers at the address of a pod."""
        self.ports[name] = port

    def ask(self, address: str, _: int, *, after: int) -> bytes:
        """The question to a pod, led to a port of this machine."""
        return ask("127.0.0.1", self.ports.get(address, 1), after=after)


class Clock:
    """Time that passes, and that a test can move on."""

    seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


@pytest.fixture
def kube_api() -> Iterator[KubeApi]:
    api = KubeApi()
    yield api
    api.close()


@pytest.fixture
def groups(kube_api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    """The release's groups, in a namespace of that API."""
    monkeypatch.setenv("KUBECONFIG", str(kube_api.kubeconfig(tmp_path)))
    return Groups(namespace=NAMESPACE, labels=LABELS, group_label=GROUP_LABEL, port=8080)


@pytest.fixture
def release(kube_api: KubeApi) -> Release:
    return Release(kube_api)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_fleet(release: Release, groups: Groups, clock: Clock) -> Iterator[Callable[[], Fleet]]:
    """What a start of the exporter makes."""
    made: list[Fleet] = []

    def make() -> Fleet:
        made.append(Fleet(groups, ask=release.ask, clock=clock))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()


@pytest.fixture
def fleet(make_fleet: Callable[[], Fleet]) -> Fleet:
    return make_fleet()
