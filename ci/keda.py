"""KEDA on the cluster: all that ScaledObjects need, without the optional admission webhooks.

The manifests are those of KEDA's own Go module; its images are the public ones, or stand-ins under
their names.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ci import gotools, publicimages
from ci.cluster import Cluster, kubectl
from ci.engine import Engine
from ci.paths import CACHE, key_of
from ci.steps import step

MODULE = "github.com/kedacore/keda/v2"
# folder of the module's config → the command that it runs, and the program's name in the image
COMMANDS = {"manager": ("operator", "keda"), "metrics-server": ("adapter", "keda-adapter")}
NAMESPACE = "keda"
OPERATOR = "keda-operator"
API_SERVICE = "apiservice/v1beta1.external.metrics.k8s.io"
PARTS = 3  # the operator, the metrics server, the API service
KEY = "celery-on-kubernetes/key"
REQUESTS = {"cpu": "20m", "memory": "64Mi"}  # a small machine's cores are for the workers
# The operator restarts itself once it has made its certificates: with a lease it would then wait
# for its own, and the metrics server for it.
FLAGS = ("--enable-webhook-patching=false", "--leader-elect=false")
READY_SECONDS = 180


def provide(cluster: Cluster) -> None:
    """Make KEDA ready on the cluster, or find it so."""
    images = {folder: _image(folder) for folder in COMMANDS}
    contents = [_build(cluster.engine, folder, image) for folder, image in images.items()]
    settings = _settings(images.values())
    key = key_of(json.dumps(settings), *contents)
    if not _ready(_parts(cluster), key):
        _install(cluster, images.values(), settings | {"commonAnnotations": {KEY: key}})


def _image(folder: str) -> str:
    """Return the public image of the pinned release; the manifests name that of a branch."""
    manifest = (_config() / folder / "kustomization.yaml").read_text()
    names = re.findall(r"^\s+newName: (\S+)$", manifest, re.MULTILINE)
    return f"{names[0]}:{_version()}"


def _version() -> str:
    return gotools.version_of("keda", MODULE).removeprefix("v")


def _config() -> Path:
    return gotools.source_of("keda", MODULE) / "config"


def _build(engine: Engine, folder: str, image: str) -> str:
    """Make a stand-in for the image where none can be pulled; returns the key of its content."""
    if engine.source == "registry":
        return image
    command, name = COMMANDS[folder]
    variables = {f"{MODULE}/version.Version": _version()}
    program = gotools.build("keda", f"{MODULE}/cmd/{command}", name=name, variables=variables)
    recipe = publicimages.FOLDER / "keda"
    key = key_of(recipe, program.parent.name)  # the name has the program's own key
    argument = f"--build-arg=PROGRAM={name}"
    return publicimages.build(engine, image, recipe, key, argument, context=program.parent)


def _settings(images: Iterable[str]) -> dict[str, Any]:
    """Return what differs from KEDA's own manifests, as kustomize takes it."""
    container = "/spec/template/spec/containers/0"
    every = [
        {"op": "replace", "path": f"{container}/imagePullPolicy", "value": "IfNotPresent"},
        {"op": "replace", "path": f"{container}/resources/requests", "value": REQUESTS},
        # the sooner the metrics server finds the operator, the less it backs off
        {"op": "replace", "path": f"{container}/readinessProbe/initialDelaySeconds", "value": 1},
    ]
    operator = [{"op": "add", "path": f"{container}/args/-", "value": flag} for flag in FLAGS]
    # explicit, so that it is taken back from whoever lent the API service to a server of their own
    verify = [{"op": "add", "path": "/spec/insecureSkipTLSVerify", "value": False}]
    named = [image.rsplit(":", 1) for image in images]
    return {
        "images": [{"name": name, "newTag": tag} for name, tag in named],
        "patches": [
            {"target": {"kind": "Deployment"}, "patch": json.dumps(every)},
            {"target": {"kind": "Deployment", "name": OPERATOR}, "patch": json.dumps(operator)},
            {"target": {"kind": "APIService"}, "patch": json.dumps(verify)},
        ],
    }


def _parts(cluster: Cluster) -> Sequence[Mapping[str, Any]]:
    label = f"--selector=app.kubernetes.io/part-of={OPERATOR}"
    get = ["get", "deployments,apiservices", "--namespace", NAMESPACE, label, "--output=json"]
    parts: list[dict[str, Any]] = json.loads(cluster.kubectl(*get))["items"]
    return parts


def _ready(parts: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Tell whether all of KEDA is there, in the state that the key stands for, and serves."""
    return len(parts) == PARTS and all(
        part["metadata"].get("annotations", {}).get(KEY) == key
        and _available(part)
        and not _lent(part)
        for part in parts
    )


def _available(part: Mapping[str, Any]) -> bool:
    conditions = part.get("status", {}).get("conditions", [])
    return {"Available": "True"}.items() <= {
        condition["type"]: condition["status"] for condition in conditions
    }.items()


def _lent(part: Mapping[str, Any]) -> bool:
    """Tell whether this is the API service and another provider has it: a test may borrow it."""
    return bool(part["spec"].get("service", {}).get("namespace", NAMESPACE) != NAMESPACE)


def _install(cluster: Cluster, images: Iterable[str], settings: Mapping[str, Any]) -> None:
    if cluster.engine.source == "packages":
        cluster.load(*images)
    timeout = f"--timeout={READY_SECONDS}s"
    with step(f"Install KEDA {_version()}") as work, _kustomization(settings) as folder:
        for command in (
            # one of KEDA's definitions is too large for what apply notes on the client's side
            ["apply", "--server-side", "--force-conflicts", "--kustomize", folder],
            ["wait", "--for=condition=Available", API_SERVICE, timeout],
            # last: the operator has restarted itself by then, for the certificates it has made
            ["rollout", "status", "deployment", "--namespace", NAMESPACE, timeout],
        ):
            work.run([kubectl(), *command], env=cluster.env)


@contextmanager
def _kustomization(settings: Mapping[str, Any]) -> Iterator[str]:
    """Write KEDA's manifests with the settings, which kustomize reads in JSON too."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        # kustomize takes no absolute path for a base
        base = os.path.relpath(_config() / "minimal", Path(folder).resolve())
        text = json.dumps({**settings, "resources": [base]})
        (Path(folder) / "kustomization.yaml").write_text(text)
        yield folder
