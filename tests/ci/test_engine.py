"""Which engine is used, where images come from, and what an archive calls them."""

import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from ci import engine, host
from ci.engine import choose
from ci.steps import Problem


class Machine:
    """A machine on which only certain commands succeed; remembers what was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *works: str) -> None:
        self.works = works
        self.tried: list[str] = []
        monkeypatch.delenv(engine.SOURCE_VARIABLE, raising=False)
        monkeypatch.setattr(engine, "succeeds", self._succeeds)
        monkeypatch.setattr(host, "ensure", lambda _: None)
        monkeypatch.setattr(engine, "CACHE", tmp_path)

    def _succeeds(self, command: list[str], **_: object) -> bool:
        line = " ".join(command)
        self.tried.append(line)
        return any(line.startswith(prefix) for prefix in self.works)


def test_a_docker_that_can_pull_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Machine(monkeypatch, tmp_path, "docker info", "docker pull")
    assert (choose().name, choose().source) == ("docker", "registry")


def test_a_node_has_no_limit_of_tasks_which_its_pods_would_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Machine(monkeypatch, tmp_path, "nothing")
    settings = Path(choose().env["CONTAINERS_CONF"]).read_text()
    assert tomllib.loads(settings)["containers"]["pids_limit"] == 0


def test_a_docker_client_without_an_engine_is_no_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Machine(monkeypatch, tmp_path, "docker pull", "podman pull")
    assert (choose().name, choose().source) == ("podman", "registry")


def test_without_a_registry_podman_builds_from_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Machine(monkeypatch, tmp_path, "docker info")
    chosen = choose()
    assert (chosen.name, chosen.source) == ("podman", "packages")
    assert 'runtime = "runc"' in Path(chosen.env["CONTAINERS_CONF"]).read_text()


@pytest.mark.parametrize("source", ["registry", "packages"])
def test_a_forced_source_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    machine = Machine(monkeypatch, tmp_path, "docker info")
    monkeypatch.setenv(engine.SOURCE_VARIABLE, source)
    assert choose().source == source
    assert not any("pull" in line for line in machine.tried)


def test_a_forced_registry_is_not_tried_with_podman_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Machine(monkeypatch, tmp_path)
    monkeypatch.setenv(engine.SOURCE_VARIABLE, "registry")
    assert (choose().name, choose().source) == ("podman", "registry")


def test_an_unknown_source_is_refused_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Machine(monkeypatch, tmp_path)
    monkeypatch.setenv(engine.SOURCE_VARIABLE, "internet")
    with pytest.raises(Problem, match="CLUSTER_SOURCE=internet: use one of registry, packages"):
        choose()


def test_an_archive_carries_the_names_that_manifests_use(tmp_path: Path) -> None:
    raw, archive = tmp_path / "raw.tar", tmp_path / "image.tar"
    with tarfile.open(raw, "w") as target:
        manifest = [
            {"Config": "c.json", "RepoTags": [name], "Layers": ["l.tar"]}
            for name in ("localhost/shop:1", "registry.example/team/shop:2")
        ]
        for name, data in {
            "l.tar": b"layer",
            "manifest.json": json.dumps(manifest).encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    engine._rename(raw, archive)
    with tarfile.open(archive) as renamed:
        layer, text = (renamed.extractfile(name) for name in ("l.tar", "manifest.json"))
        assert layer is not None
        assert text is not None
        assert layer.read() == b"layer"
        names = [image["RepoTags"] for image in json.loads(text.read())]
        assert names == [["shop:1"], ["registry.example/team/shop:2"]]
