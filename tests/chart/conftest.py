"""One `helm template` for each set of values, parsed and shared by every test that asks for it."""

import base64
import copy
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import utils

ROOT = Path(__file__).parents[2]
NAMESPACE = "celery-demo"
# Ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CHART = ROOT / "charts" / "celery"
CHART_VERSION: str = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
WORKLOADS = ("Deployment", "StatefulSet", "Pod")

Values = dict[str, Any]
Object = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """Something that makes pods: its object, and the pod's metadata and spec."""

    name: str
    component: str
    owner: Object
    metadata: Object
    spec: Object

    @property
    def container(self) -> Object:
        """The container that does the work."""
        container: Object = self.spec["containers"][0]
        return container

    @property
    def args(self) -> dict[str, str]:
        """The options of its command line by name, without dashes; flags are empty."""
        options = [arg for arg in self.container["args"] if arg.startswith("--")]
        return {name[2:]: value for name, _, value in (arg.partition("=") for arg in options)}

    @property
    def env(self) -> dict[str, str]:
        """The plain environment variables of the container."""
        return {entry["name"]: entry.get("value", "") for entry in self.container["env"]}

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which a Deployment or StatefulSet finds its pods."""
        labels: dict[str, str] = self.owner["spec"]["selector"]["matchLabels"]
        return labels


@dataclass(frozen=True)
class Release:
    """The objects of one rendering."""

    objects: tuple[Object, ...]

    def one(self, kind: str, name: str) -> Object:
        """The object of this kind and name; there is exactly one."""
        (found,) = [o for o in self.all(kind) if o["metadata"]["name"] == name]
        return found

    def all(self, kind: str) -> list[Object]:
        """Every object of this kind."""
        return [o for o in self.objects if o["kind"] == kind]

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """Everything that makes pods, by name."""
        found = [_workload(o) for o in self.objects if o["kind"] in WORKLOADS]
        return {workload.name: workload for workload in found}

    @property
    def celery(self) -> list[Workload]:
        """The workloads that run Celery: worker groups and beat."""
        return [w for w in self.workloads.values() if w.component in ("worker", "beat")]

    @property
    def settings(self) -> dict[str, Any]:
        """What celery_runtime reads, from the ConfigMap jobs-settings."""
        settings: dict[str, Any] = json.loads(
            self.one("ConfigMap", "jobs-settings")["data"]["settings.json"]
        )
        return settings

    def secret(self, name: str) -> dict[str, str]:
        """The decoded content of a Secret of this release."""
        data = self.one("Secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _workload(owner: Object) -> Workload:
    template = owner if owner["kind"] == "Pod" else owner["spec"]["template"]
    return Workload(
        name=owner["metadata"]["name"],
        component=template["metadata"]["labels"]["app.kubernetes.io/component"],
        owner=owner,
        metadata=template["metadata"],
        spec=template["spec"],
    )


@dataclass
class Helm:
    """Helm on the charts of this repository; a failing command raises HelmRefused."""

    binary: str
    rendered: dict[str, Release] = field(default_factory=dict)

    def run(self, *args: str, values: Mapping[str, Any] | None = None) -> str:
        """The output of a command; values, when given, are read after every file."""
        done = subprocess.run(
            [self.binary, *args, *(() if values is None else ("-f", "-"))],
            input=None if values is None else yaml.safe_dump(dict(values)),
            capture_output=True,
            text=True,
            cwd=ROOT,
            # A sixth less of the CPU: what ends at once need not collect garbage.
            env={**os.environ, "GOGC": "400"},
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise HelmRefused(done.stderr)
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | str,
        *options: str,
        chart: str = "celery",
        release: str = "jobs",
    ) -> Release:
        """A rendering of a chart with these values, or with those of files: production+redis."""
        key = json.dumps([values, options, chart, release], sort_keys=True)
        if key not in self.rendered:
            command = ["template", release, f"charts/{chart}", "--namespace", NAMESPACE, *options]
            if isinstance(values, str):
                text = self.run(*command, *files(values))
            else:
                text = self.run(*command, values=values)
            self.rendered[key] = Release(tuple(filter(None, yaml.load_all(text, Loader=LOADER))))
        return self.rendered[key]

    def notes(self, values: Mapping[str, Any]) -> str:
        """What `helm install` prints at its end."""
        command = ("install", "jobs", "charts/celery", "-n", NAMESPACE, "--dry-run=client")
        return self.run(*command, values=values).partition("NOTES:\n")[2]

    def refusal(self, values: Mapping[str, Any], *args: str) -> str:
        """What the user reads where a rendering is refused; fails where it is not."""
        with pytest.raises(HelmRefused, match="Error: ") as refused:
            self.template(values, *args)
        return str(refused.value)


def files(names: str) -> list[str]:
    """The options that read values files by their names, as in production+redis."""
    return [word for name in names.split("+") for word in ("-f", f"values/{name}.yaml")]


class HelmRefused(Exception):
    """Helm ended with an error; the message is what the user reads."""


@pytest.fixture(scope="session", autouse=True)
def _quick_schemas() -> Iterator[None]:
    """Read each schema once; the package reads all definitions again for every object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, from HELM or PATH."""
    binary = os.environ.get("HELM") or shutil.which("helm")
    if binary is None:
        pytest.fail("helm is needed: put it on PATH, or name it in HELM")
    return Helm(binary)


@pytest.fixture
def minimal() -> Values:
    """The smallest values that work, for a test to change."""
    return copy.deepcopy(MINIMAL)


# Existing Secrets, so that two renderings differ only where the values do.
MINIMAL: Values = {
    "app": "shop.celery:app",
    "image": {"repository": "shop", "tag": "1.4.2"},
    "exporter": {"image": {"repository": "celery-exporter", "tag": "0.1.0"}},
    "queues": {"default": {}, "email": {}, "thumbnails": {}},
    "workers": {
        "io": {"pool": "gevent", "concurrency": 100, "queues": ["default", "email"]},
        "cpu": {"pool": "prefork", "queues": ["thumbnails"], "maxTaskSeconds": 600},
    },
    "rabbitmq": {"auth": {"existingSecret": "shop-rabbitmq"}},
    "redis": {"auth": {"existingSecret": "shop-redis"}},
}

RESOURCES = {
    "v1": ("ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "apps/v1": ("Deployment", "StatefulSet"),
    "policy/v1": ("PodDisruptionBudget",),
    "rabbitmq.com/v1beta1": ("RabbitmqCluster",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "keda.sh/v1alpha1": ("ScaledObject", "TriggerAuthentication"),
}


class Cluster:
    """As much of the Kubernetes API as Helm's `lookup` asks for: discovery, and what it finds."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.server = server
        self.secrets: dict[str, Object] = {}
        self.stateful_sets: dict[str, Object] = {}

    @property
    def options(self) -> tuple[str, ...]:
        """What makes `helm template` look things up here."""
        address = f"http://127.0.0.1:{self.server.server_port}"
        return (
            "--dry-run=server",
            "--disable-openapi-validation",
            *("--kube-apiserver", address, "--kubeconfig", os.devnull),
        )

    def keep(self, release: Release) -> None:
        """Store the release's Secrets, as an installation would."""
        for secret in release.all("Secret"):
            self.put(secret["metadata"]["name"], secret["data"])

    def put(self, name: str, data: Mapping[str, str]) -> None:
        """Store a Secret that Helm takes for its own."""
        self.secrets[name] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _metadata(name),
            "data": dict(data),
        }

    def run(self, name: str, replicas: int, *, ready: int) -> None:
        """Pretend that a StatefulSet of the release runs."""
        self.stateful_sets[name] = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": _metadata(name),
            "spec": {"replicas": replicas},
            "status": {"readyReplicas": ready},
        }

    def answer(self, path: str) -> Object | None:
        """The object at this path, or None when there is none."""
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [_group(version) for version in RESOURCES if "/" in version]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version in RESOURCES:
            return _resources(version)
        folder, _, name = path.rpartition("/")
        held = {"secrets": self.secrets, "statefulsets": self.stateful_sets}
        return held.get(folder.rpartition("/")[2], {}).get(name)


def _metadata(name: str) -> Object:
    owner = {"release-name": "jobs", "release-namespace": NAMESPACE}
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {f"meta.helm.sh/{key}": value for key, value in owner.items()},
    }


def _group(version: str) -> Object:
    name, _, number = version.partition("/")
    only = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [only], "preferredVersion": only}


def _resources(version: str) -> Object:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {"name": f"{kind.lower()}s", "namespaced": True, "kind": kind, "verbs": ["get"]}
            for kind in RESOURCES[version]
        ],
    }


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A Kubernetes API on loopback that holds the Secrets a test puts into it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = api.answer(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
            body = json.dumps(missing if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = Cluster(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield api
        server.shutdown()
