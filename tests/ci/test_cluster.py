"""When the cluster is kept, and when it is made anew."""

import json
from pathlib import Path

import pytest

from ci import cluster
from ci.cluster import Cluster
from ci.engine import Engine


class Fake(Engine):
    """An engine that runs as many node containers as it is told."""

    running: str = ""

    def capture(self, *arguments: str | Path) -> str:
        return self.running if arguments[0] == "ps" else ""


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "CACHE", tmp_path)
    monkeypatch.setattr(cluster, "KUBECONFIG", tmp_path / "kubeconfig")
    monkeypatch.setattr(cluster, "kubectl", lambda: Path("kubectl"))
    monkeypatch.setattr(cluster, "succeeds", lambda *_, **__: True)
    (tmp_path / "kubeconfig").touch()
    (tmp_path / "cluster.json").write_text(json.dumps({"nodes": 2}))


@pytest.mark.parametrize(("running", "healthy"), [("a\nb\n", True), ("a\n", False), ("", False)])
def test_a_cluster_with_a_dead_node_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, running: str, healthy: bool
) -> None:
    monkeypatch.setattr(Fake, "running", running)
    assert cluster.healthy(Cluster(Fake("podman", "packages"))) is healthy


def test_a_cluster_whose_api_does_not_answer_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Fake, "running", "a\nb\n")
    monkeypatch.setattr(cluster, "succeeds", lambda *_, **__: False)
    assert not cluster.healthy(Cluster(Fake("podman", "packages")))


def test_only_a_cluster_without_public_images_is_told_to_do_without_them() -> None:
    public = cluster._settings(2, packages=False)
    assert [node["role"] for node in public["nodes"]] == ["control-plane", "worker"]
    assert "featureGates" not in public
    own = cluster._settings(1, packages=True)
    assert own["networking"]["disableDefaultCNI"] is True


def test_a_node_is_given_what_it_lacks_by_contents_and_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(Cluster, "nodes", lambda _: ["a"])
    monkeypatch.setattr(Cluster, "_load", lambda _self, _work, images: given.append(images))
    monkeypatch.setattr(Fake, "run", lambda _self, _work, *command: touched.append(command[-1]))
    monkeypatch.setattr(Fake, "image_id", lambda _self, reference: contents[reference])
    touched: list[str] = []
    monkeypatch.setattr(
        Cluster, "_has", lambda _self, _node, file: any(file in each for each in touched)
    )
    contents: dict[str, str] = dict.fromkeys(("shop:1", "shop:2", "shop:3"), "sha256:aa")
    kept = Cluster(Fake("podman", "packages"))
    kept.load("shop:1")
    kept.load("shop:1", "shop:2", "shop:3")
    contents["shop:1"] = "sha256:bb"
    kept.load("shop:1")
    assert given == [["shop:1"], ["shop:2", "shop:3"], ["shop:1"]]
