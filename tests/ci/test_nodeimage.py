"""The node image is built once for one state of its inputs, wherever the repository lies."""

import shutil
from pathlib import Path

import pytest

from ci import gotools, host, nodeimage, publicimages
from ci.engine import Engine
from ci.nodeimage import Component


class Complete(Engine):
    """An engine that has every image."""

    def has_image(self, reference: str) -> bool:
        return bool(reference)


def _name(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str = "etcd-1") -> str:
    components = [Component("example/etcd:3", Path(program), folder / "images" / "x.Containerfile")]
    monkeypatch.setattr(nodeimage, "FOLDER", folder)
    monkeypatch.setattr(nodeimage, "_components", lambda _: components)
    monkeypatch.setattr(nodeimage, "_storage_manifest", lambda: "kind: StorageClass")
    monkeypatch.setattr(host, "ensure", lambda _: None)
    monkeypatch.setattr(gotools, "kubernetes", lambda *_: Path("kubelet-1"))
    monkeypatch.setattr(publicimages, "debian", lambda *_: "key")
    subnets = {"service_subnet": "10.96.0.0/16", "pod_subnet": "10.244.0.0/16"}
    return nodeimage.build(Complete("podman", "packages"), "1.34", **subnets)


def test_a_second_clone_uses_the_same_node_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, there = (tmp_path / clone / "node" for clone in ("here", "there"))
    for folder in (here, there):
        shutil.copytree(nodeimage.FOLDER, folder)
    first, second = _name(monkeypatch, here), _name(monkeypatch, there)
    assert first == second


def test_another_program_makes_another_node_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    shutil.copytree(nodeimage.FOLDER, folder)
    assert _name(monkeypatch, folder) != _name(monkeypatch, folder, program="etcd-2")
