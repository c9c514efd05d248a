"""The kind cluster that demonstration and tests run on: made, looked at, filled, removed."""

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci import engine as engines
from ci import gotools, nodeimage
from ci.engine import Engine
from ci.paths import CACHE, KUBECONFIG
from ci.steps import Problem, Step, capture, step, succeeds

NAME = "celery"
MINOR = "1.34"  # the last whose kubelet runs on cgroup v1 without being told to
PUBLIC_NODE_IMAGE = "kindest/node:v1.34.11"
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"
READY_SECONDS = 180
LOADED = "/kind/loaded"  # on each node: one empty file per image that it was given


@dataclass(frozen=True)
class Cluster:
    """A running cluster and the engine that its nodes run in."""

    engine: Engine

    @property
    def env(self) -> dict[str, str]:
        """The environment in which kind, kubectl and helm reach this cluster."""
        provider = {"KIND_EXPERIMENTAL_PROVIDER": self.engine.name, "KUBECONFIG": str(KUBECONFIG)}
        return {**self.engine.env, **provider}

    def nodes(self) -> list[str]:
        """Return the names of the node containers."""
        return capture([_kind(), "get", "nodes", "--name", NAME], env=self.env).split()

    def kubectl(self, *arguments: str | Path) -> str:
        """Return what a kubectl command prints; raises Problem."""
        return capture([kubectl(), *arguments], env=self.env)

    def load(self, *references: str) -> None:
        """Copy images of the engine to every node, those that one of them does not have yet."""
        nodes = self.nodes()
        markers = {each: f"{LOADED}/{self._key(each)}" for each in references}
        missing = [
            each
            for each, marker in markers.items()
            if not all(self._has(node, marker) for node in nodes)
        ]
        if missing:
            with step(f"Load {', '.join(missing)} into the cluster") as work:
                self._load(work, missing)
                touch = shlex.join(["touch", *(markers[each] for each in missing)])
                for node in nodes:
                    self.engine.run(work, "exec", node, "sh", "-c", f"mkdir -p {LOADED} && {touch}")

    def _key(self, reference: str) -> str:
        # Both: a tag may move to other contents, and the same contents get another tag.
        contents = self.engine.image_id(reference).removeprefix("sha256:")
        return f"{reference.replace('/', '_')}-{contents}"

    def _has(self, node: str, file: str) -> bool:
        return succeeds(self.engine.command("exec", node, "test", "-e", file), env=self.env)

    def _load(self, work: Step, references: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            archive = Path(folder) / "images.tar"
            self.engine.save(work, references, archive)
            work.run([_kind(), "load", "image-archive", archive, "--name", NAME], env=self.env)


def kubectl() -> Path:
    """Return the pinned kubectl."""
    return gotools.kubernetes(MINOR, "kubectl")


def helm() -> Path:
    """Return the pinned helm."""
    return gotools.build("helm", "helm.sh/helm/v4/cmd/helm")


def link_tools() -> None:
    """Put helm and kubectl where the line that people copy onto their PATH finds them."""
    for program in (helm(), kubectl()):
        gotools.link(program)


def _kind() -> Path:
    return gotools.build("kind", "sigs.k8s.io/kind")


def up(nodes: int = 1) -> Cluster:
    """Return the cluster, made anew where there is none, a dead one, or one of another shape."""
    engine = engines.choose()
    cluster = Cluster(engine)
    image = _node_image(engine)
    shape = {"image": image, "nodes": nodes, "engine": engine.name}
    if _recorded() == shape and healthy(cluster):
        return cluster
    _delete(cluster)
    with step(f"Create the cluster {NAME}: {nodes} node{'s'[: nodes > 1]}") as work:
        _create(work, cluster, image, nodes)
    _shape_file().write_text(json.dumps(shape))
    return cluster


def current() -> Cluster:
    """Return the cluster that is up; raises Problem where none is."""
    cluster = Cluster(engines.choose())
    if not healthy(cluster):
        raise Problem("There is no cluster: `make up` makes one")
    return cluster


def down() -> None:
    """Remove the cluster with its containers and its network."""
    cluster = Cluster(engines.choose())
    _delete(cluster)
    # another kind cluster of the machine may use the network: then the engine keeps it
    succeeds(cluster.engine.command("network", "rm", "kind"), env=cluster.env)


def healthy(cluster: Cluster) -> bool:
    """Tell whether every node container runs and the API server answers."""
    recorded = _recorded()
    if recorded is None or not KUBECONFIG.exists():
        return False
    running = cluster.engine.capture(
        "ps", "--filter", f"label=io.x-k8s.kind.cluster={NAME}", "--format", "{{.Names}}"
    ).split()
    ready: list[str | Path] = [kubectl(), "get", "--raw=/readyz", "--request-timeout=10s"]
    return len(running) == recorded["nodes"] and succeeds(ready, env=cluster.env)


def _recorded() -> dict[str, Any] | None:
    try:
        recorded: dict[str, Any] = json.loads(_shape_file().read_text())
    except FileNotFoundError:
        return None
    return recorded


def _shape_file() -> Path:
    return CACHE / "cluster.json"


def _node_image(engine: Engine) -> str:
    if engine.source == "registry":
        return PUBLIC_NODE_IMAGE
    return nodeimage.build(engine, MINOR, service_subnet=SERVICE_SUBNET, pod_subnet=POD_SUBNET)


def _delete(cluster: Cluster) -> None:
    _shape_file().unlink(missing_ok=True)
    if NAME in capture([_kind(), "get", "clusters"], env=cluster.env).split():
        with step(f"Remove the cluster {NAME}") as work:
            work.run([_kind(), "delete", "cluster", "--name", NAME], env=cluster.env)
    KUBECONFIG.unlink(missing_ok=True)


def _create(work: Step, cluster: Cluster, image: str, nodes: int) -> None:
    packages = cluster.engine.source == "packages"
    if packages:
        Path("/lib/modules").mkdir(parents=True, exist_ok=True)  # kind mounts it
    settings = work.log.with_suffix(".json")
    settings.write_text(json.dumps(_settings(nodes, packages=packages)))
    create = ["create", "cluster", "--name", NAME, "--image", image, f"--config={settings}"]
    work.run([_kind(), *create, "--kubeconfig", KUBECONFIG], env=cluster.env)
    if packages:
        _connect(work, cluster)
    wait = ["wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={READY_SECONDS}s"]
    work.run([kubectl(), *wait], env=cluster.env)
    # pods are refused until the controller has made the namespace's account
    account = ["wait", "--for=create", "serviceaccount/default", f"--timeout={READY_SECONDS}s"]
    work.run([kubectl(), *account], env=cluster.env)


def _settings(nodes: int, *, packages: bool) -> Mapping[str, Any]:
    """Return kind's configuration, in JSON, which YAML contains."""
    roles = ["control-plane", *["worker"] * (nodes - 1)]
    networking: dict[str, Any] = {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET}
    settings: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": role} for role in roles],
        "networking": networking,
    }
    if nodes > 1:
        # the first takes pods too; of an only one kind itself removes the taint, and fails without
        patch = "kind: InitConfiguration\nnodeRegistration:\n  taints: []\n"
        settings["kubeadmConfigPatches"] = [patch]
    if packages:
        networking["disableDefaultCNI"] = True
        # both because a sandbox may lack the capability to lower oom scores
        settings["featureGates"] = {"KubeletInUserNamespace": True}
        settings["containerdConfigPatches"] = [
            '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
        ]
    return settings


def _connect(work: Step, cluster: Cluster) -> None:
    """Give each node its own pod range, and the ways to those of the others."""
    given = ["wait", "--for=jsonpath={.spec.podCIDR}", "nodes", "--all", "--timeout=60s"]
    work.run([kubectl(), *given], env=cluster.env)
    listed = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    subnets = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in listed}
    addresses = {
        node["metadata"]["name"]: address["address"]
        for node in listed
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    }
    for name, subnet in subnets.items():
        network = json.dumps(_network(subnet))
        commands = [f"echo '{network}' >/etc/cni/net.d/10-pods.conflist"]
        for other in subnets.keys() - {name}:
            commands += [
                f"ip route replace {subnets[other]} via {addresses[other]}",
                f"iptables -t mangle -I POSTROUTING -d {subnets[other]} -j ACCEPT",
            ]
        cluster.engine.run(work, "exec", name, "sh", "-ec", "\n".join(commands))


def _network(subnet: str) -> Mapping[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": subnet}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
