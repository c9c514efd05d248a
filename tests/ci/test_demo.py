"""How the demonstration reaches a cluster, and when it is a failure."""

from pathlib import Path

import pytest

from ci import cluster, demo, engine, images
from ci.demo import Target
from ci.images import Image
from ci.steps import Problem

REPORT = {"event": "report", "undone": [], "rows": [], "effects": {}, "run": "run-1"}
PROGRESS = {"event": "progress", "done": 1, "expected": 2, "retried": 0}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(cluster, "kubectl", lambda: Path("kubectl"))
    monkeypatch.setattr(cluster, "helm", lambda: Path("helm"))
    team = "registry.example/team"
    return Target(
        {}, Image(f"{team}/celery-demo", "0.1.0-abc"), Image(f"{team}/celery-exporter", "0.1.0-def")
    )


def test_an_image_repository_without_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_REPOSITORY", "registry.example/team")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Problem, match="IMAGE_REPOSITORY goes with KUBECONFIG=FILE"):
        demo.main()


def test_the_release_runs_the_images_that_were_built(target: Target) -> None:
    command = target.upgrade("logLevel=debug")
    assert "--set=image.repository=registry.example/team/celery-demo" in command
    assert "--set=image.tag=0.1.0-abc" in command
    assert "--set=exporter.image.repository=registry.example/team/celery-exporter" in command
    assert "--set=exporter.image.tag=0.1.0-def" in command
    assert "--set=logLevel=debug" in command


def test_manifests_name_the_image_that_was_built(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    applied: list[str] = []
    monkeypatch.setattr(demo, "_apply_text", lambda *arguments: applied.append(arguments[-1]))
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("image: celery-demo\nimage: postgres:17\n")
    demo._apply(None, target, manifest)  # type: ignore[arg-type]  # no step is needed
    assert applied == [f"image: {target.image}\nimage: postgres:17\n"]


def test_the_last_line_of_the_pipelines_is_their_report() -> None:
    assert demo._follow(iter([{"event": "sent"}, PROGRESS, REPORT])) == REPORT


def test_pipelines_that_end_without_a_report_are_a_failure() -> None:
    with pytest.raises(Problem, match="ended without a report"):
        demo._follow(iter([PROGRESS]))


def test_work_that_is_not_done_is_a_failure_that_lists_it(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone = [{"task_id": "1", "task": "shop.tasks.hold", "state": "sent"}]
    monkeypatch.delenv("IMAGE_REPOSITORY", raising=False)
    monkeypatch.setattr(demo, "_local", lambda: target)
    monkeypatch.setattr(demo, "install", lambda _: None)
    monkeypatch.setattr(demo, "_show_state", lambda _: None)
    monkeypatch.setattr(demo, "_run_pipelines", lambda _: REPORT | {"undone": undone})
    with pytest.raises(Problem, match=r"shop\.tasks\.hold"):
        demo.main()


@pytest.mark.parametrize(("has_keda", "mode"), [(True, "keda"), (False, "none")])
def test_an_existing_cluster_scales_workers_where_it_has_keda(
    monkeypatch: pytest.MonkeyPatch, target: Target, has_keda: bool, mode: str
) -> None:
    monkeypatch.setenv("IMAGE_REPOSITORY", "registry.example/team")
    monkeypatch.setenv("KUBECONFIG", "config")
    monkeypatch.setattr(engine, "choose", lambda: None)
    for name in ("build_all", "build_exporter"):
        monkeypatch.setattr(images, name, lambda _: target.image)
    monkeypatch.setattr(images, "push", lambda *_: target.image)
    monkeypatch.setattr(demo, "succeeds", lambda *_, **__: has_keda)
    assert demo._existing().autoscaling == mode
