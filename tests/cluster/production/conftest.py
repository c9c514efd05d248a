"""The shop as in production, but for the size of the machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci.demo import install, namespace
from ci.paths import ROOT
from tests.cluster.conftest import INSTALLED, relying_on_keda, target
from tests.cluster.shop import Shop

#: With characters that a URL, a shell and a configuration file each read in their own way.
PASSWORD = "p@ss:w/or?d#%+ 1"
SECRETS = {
    "jobs-rabbitmq": {"username": "shop", "password": PASSWORD, "erlang-cookie": "C" * 32},
    "jobs-redis": {"password": PASSWORD},
}
#: The kinds of prometheus-operator, which does not run here.
MONITORING = {"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors"} | {
    "PrometheusRule": "prometheusrules"
}


@pytest.fixture(scope="module")
def production(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Install it with values/production.yaml; removed at the end."""
    files = (ROOT / "values" / "production.yaml", Path(__file__).parent / "small.yaml")
    shop = Shop(target("celery-test-production", *files, autoscaling="keda"))
    request.config.stash[INSTALLED] = shop
    with relying_on_keda(tmp_path_factory):
        shop.remove()
        shop.apply(namespace(shop.target.namespace))
        for name, texts in SECRETS.items():
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
            shop.apply(secret | {"stringData": texts})
        for kind, plural in MONITORING.items():
            shop.apply(_definition(kind, plural))
        install(shop.target)
        yield shop
        shop.remove()
        for plural in MONITORING.values():
            shop.kubectl("delete", "customresourcedefinition", f"{plural}.monitoring.coreos.com")


def _definition(kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version | {"schema": {"openAPIV3Schema": anything}}],
        },
    }
