"""The image of a kind node where none can be pulled: Debian packages and Go modules.

kind's own base image comes first, from kind's module; ci/node adds containerd, Kubernetes and the
images of the control plane. Names of those images are asked of the programs that will want them.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ci import gotools, host, publicimages
from ci.engine import Engine
from ci.paths import CACHE, ROOT, key_of
from ci.steps import Problem, capture, step

FOLDER = ROOT / "ci" / "node"
# systemd 257 and later no longer start on cgroup v1, so not trixie.
SUITE = "bookworm"
NODE_PROGRAMS = ("kubeadm", "kubelet", "kubectl")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


@dataclass(frozen=True)
class Component:
    """An image inside the node image: its full name, its program, its Containerfile."""

    reference: str
    program: Path
    file: Path


def build(engine: Engine, minor: str, *, service_subnet: str, pod_subnet: str) -> str:
    """Return the name of a node image for a minor such as 1.34, building it if need be."""
    host.ensure(host.NODE_IMAGE)
    programs = [gotools.kubernetes(minor, command) for command in NODE_PROGRAMS]
    components = _components(minor)
    subnets = [f"SERVICE_SUBNET={service_subnet}", f"POD_SUBNET={pod_subnet}"]
    # the paths of programs carry their keys; where this repository lies must not count
    made_of = [*map(str, programs), *(f"{part.reference} {part.program}" for part in components)]
    key = key_of(
        FOLDER, *made_of, *subnets, _storage_manifest(), publicimages.debian(engine, SUITE)
    )
    reference = f"localhost/celery-node:{gotools.kubernetes_version(minor)}-{key}"
    if not engine.has_image(reference):
        archive = _archive(engine, components)
        arguments = [f"--build-arg={value}" for value in [f"BASE={_base(engine)}", *subnets]]
        with (
            tempfile.TemporaryDirectory() as context,
            step(f"Build the node image {reference}") as work,
        ):
            _fill(Path(context), minor, programs)
            volume = f"--volume={archive.parent}:/archives:ro"
            engine.run(work, "build", volume, *arguments, "--tag", reference, context)
        shutil.rmtree(archive.parent)
    return reference


def _base(engine: Engine) -> str:
    source = gotools.source_of("kind", "sigs.k8s.io/kind") / "images" / "base"
    reference = f"kind-base:{SUITE}-{key_of(source, publicimages.debian(engine, SUITE))}"
    if not engine.has_image(reference):
        with step("Build kind's base image") as work:
            base = f"BASE_IMAGE=debian:{SUITE}-slim"
            engine.run(
                work, "build", "--target=base", "--build-arg", base, "--tag", reference, source
            )
    return reference


def _fill(context: Path, minor: str, programs: list[Path]) -> None:
    for file in [FOLDER / "Containerfile", FOLDER / "keep-inside.service", *programs]:
        shutil.copy(file, context)
    (context / "version").write_text(gotools.kubernetes_version(minor))
    (context / "default-storage.yaml").write_text(_storage_manifest())


def _components(minor: str) -> list[Component]:
    wanted = capture(
        [
            gotools.kubernetes(minor, "kubeadm"),
            "config",
            "images",
            "list",
            f"--kubernetes-version={gotools.kubernetes_version(minor)}",
        ]
    ).split()
    programs = {command: gotools.kubernetes(minor, command) for command in CONTROL_PLANE}
    programs["etcd"] = gotools.build("etcd", "go.etcd.io/etcd/server/v3", name="etcd")
    programs["coredns"] = gotools.build("coredns", "github.com/coredns/coredns")
    components = [
        _component(reference, programs[_plain(reference)])
        for reference in wanted
        if _plain(reference) in programs
    ]
    return [*components, *_helpers()]


def _helpers() -> list[Component]:
    storage = _go_strings("pkg/build/nodeimage/const_storage.go")
    provisioner = gotools.build(
        "local-path-provisioner", "github.com/rancher/local-path-provisioner"
    )
    return [
        _component(_sandbox_image(), _required("catatonit")),
        _component(storage["storageProvisionerImage"], provisioner),
        _component(storage["storageHelperImage"], _required("busybox")),
    ]


def _component(reference: str, program: Path) -> Component:
    own = FOLDER / "images" / f"{_plain(reference)}.Containerfile"
    return Component(
        reference, program, own if own.exists() else FOLDER / "images" / "program.Containerfile"
    )


def _plain(reference: str) -> str:
    return reference.rsplit("/", 1)[-1].split(":")[0]


def _required(program: str) -> Path:
    found = shutil.which(program)
    if found is None:
        raise Problem(f"The program {program} is not on PATH")
    return Path(found)


def _archive(engine: Engine, components: list[Component]) -> Path:
    with step("Build the images of the control plane") as work:
        for component in components:
            with tempfile.TemporaryDirectory() as context:
                shutil.copy(component.program, context)
                engine.run(
                    work,
                    "build",
                    f"--build-arg=PROGRAM={component.program.name}",
                    f"--file={component.file}",
                    f"--tag={component.reference}",
                    context,
                )
        archive = Path(tempfile.mkdtemp(dir=CACHE)) / "components.tar"
        names = [component.reference for component in components]
        engine.run(work, "save", "--multi-image-archive", f"--output={archive}", *names)
    return archive


def _sandbox_image() -> str:
    """Return the pause image that kind's configuration of containerd names."""
    folder = gotools.source_of("kind", "sigs.k8s.io/kind")
    settings = (folder / "images/base/files/etc/containerd/config.toml").read_text()
    found = re.search(r'^\s*sandbox_image = "(.+)"', settings, re.MULTILINE)
    if found is None:
        raise Problem("kind's configuration of containerd names no sandbox_image")
    return found[1]


def _storage_manifest() -> str:
    """Return the manifest of the default StorageClass that kind gives its own node images."""
    return _go_strings("pkg/build/nodeimage/const_storage.go")["defaultStorageManifest"]


def _go_strings(path: str) -> dict[str, str]:
    """Read the string constants of one of kind's Go files, joined where they use each other."""
    source = (gotools.source_of("kind", "sigs.k8s.io/kind") / path).read_text()
    plain = dict(re.findall(r'^const (\w+) = "([^"]*)"', source, re.MULTILINE))
    for name, text in re.findall(r"^const (\w+) = `(.*?)^`$", source, re.MULTILINE | re.DOTALL):
        plain[name] = re.sub(r"` \+ (\w+) \+ `", lambda used: plain[used[1]], text)
    return plain
