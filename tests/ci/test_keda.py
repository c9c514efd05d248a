"""When KEDA is installed, from which images, and when it is left alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci import gotools, keda, publicimages
from ci.cluster import Cluster
from ci.engine import Engine, Source

NAMES = {"manager": "example/keda", "metrics-server": "example/metrics"}


class Installed(Cluster):
    """A cluster that answers with the parts of KEDA that it is told to have."""

    def kubectl(self, *_: str | Path) -> str:
        return json.dumps({"items": PARTS})


PARTS: list[dict[str, Any]] = []


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """KEDA's module and cluster, as fakes; returns the key of each state that was installed."""
    for folder, name in NAMES.items():
        (tmp_path / "config" / folder).mkdir(parents=True)
        manifest = tmp_path / "config" / folder / "kustomization.yaml"
        manifest.write_text(f"images:\n- name: {name}\n  newName: {name}\n  newTag: main\n")
    monkeypatch.setattr(gotools, "source_of", lambda *_: tmp_path)
    monkeypatch.setattr(gotools, "version_of", lambda *_: "v2.0.1")
    installed: list[str] = []

    def install(_: Cluster, __: object, settings: dict[str, Any]) -> None:
        installed.append(settings["commonAnnotations"][keda.KEY])

    monkeypatch.setattr(keda, "_install", install)
    return installed


def _provide(source: Source = "registry") -> None:
    keda.provide(Installed(Engine("podman", source)))


def _has(monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(f"{__name__}.PARTS", parts)


def _parts(key: str) -> list[dict[str, Any]]:
    ready = {"conditions": [{"type": "Available", "status": "True"}]}
    service = {"service": {"name": "keda-metrics-apiserver", "namespace": keda.NAMESPACE}}
    return [
        {"metadata": {"annotations": {keda.KEY: key}}, "spec": dict(spec), "status": dict(ready)}
        for spec in ({}, {}, service)
    ]


def test_keda_that_is_there_and_serves_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    _provide()
    _has(monkeypatch, _parts(keys[0]))
    _provide()
    assert len(keys) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts.pop(),
        lambda parts: parts[1]["metadata"].pop("annotations"),
        lambda parts: parts[0]["metadata"]["annotations"].update({keda.KEY: "older"}),
        lambda parts: parts[2]["status"].update(conditions=[]),
        lambda parts: parts[2]["status"]["conditions"][0].update(status="False"),
        lambda parts: parts[2]["spec"]["service"].update(namespace="borrower"),
    ],
    ids=["a part is missing", "not ours", "another state", "new", "unavailable", "lent"],
)
def test_keda_is_installed_again_unless_all_of_it_is_there_and_serves(
    monkeypatch: pytest.MonkeyPatch,
    keys: list[str],
    spoil: Callable[[list[dict[str, Any]]], object],
) -> None:
    _provide()
    parts = _parts(keys[0])
    spoil(parts)
    _has(monkeypatch, parts)
    _provide()
    assert len(keys) == 2


def test_images_are_the_pinned_release_of_those_that_the_manifests_name(keys: list[str]) -> None:
    assert not keys
    images = [keda._image(folder) for folder in keda.COMMANDS]
    assert images == ["example/keda:2.0.1", "example/metrics:2.0.1"]
    named = keda._settings(images)["images"]
    assert {"name": "example/keda", "newTag": "2.0.1"} in named


def test_only_where_no_registry_is_reached_are_programs_built(
    monkeypatch: pytest.MonkeyPatch, keys: list[str], tmp_path: Path
) -> None:
    built: list[str] = []

    def build(*_: object, name: str, **__: object) -> Path:
        built.append(name)
        return tmp_path / f"{name}-key" / name

    monkeypatch.setattr(gotools, "build", build)
    monkeypatch.setattr(publicimages, "build", lambda *arguments, **_: arguments[3])
    _provide("registry")
    assert built == []
    _provide("packages")
    assert built == ["keda", "keda-adapter"]
    assert len(set(keys)) == 2


def test_another_program_in_an_image_of_the_same_name_is_rolled_out(
    monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    for content in ("first", "second"):
        monkeypatch.setattr(keda, "_build", lambda *_, content=content: content)
        _provide()
    assert len(set(keys)) == 2


def test_the_operator_alone_is_told_that_there_are_no_webhooks() -> None:
    patches = keda._settings([])["patches"]
    told = [patch["target"] for patch in patches if "webhook" in patch["patch"]]
    assert told == [{"kind": "Deployment", "name": keda.OPERATOR}]


def test_a_borrowed_api_service_is_taken_back_with_the_check_of_its_certificate() -> None:
    (patch,) = [
        json.loads(patch["patch"])
        for patch in keda._settings([])["patches"]
        if patch["target"] == {"kind": "APIService"}
    ]
    assert patch == [{"op": "add", "path": "/spec/insecureSkipTLSVerify", "value": False}]


def test_kustomize_finds_the_modules_manifests_from_where_it_reads_the_settings(
    monkeypatch: pytest.MonkeyPatch, keys: list[str], tmp_path: Path
) -> None:
    assert not keys
    monkeypatch.setattr(keda, "CACHE", tmp_path)
    with keda._kustomization({"images": []}) as folder:
        settings = json.loads((Path(folder) / "kustomization.yaml").read_text())
        (base,) = settings["resources"]
        assert not Path(base).is_absolute()
        assert (Path(folder) / base).resolve() == tmp_path / "config" / "minimal"
    assert not Path(folder).exists()
