"""Beat: one, never two."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values


def test_the_old_beat_is_gone_before_the_new_one_starts(helm: "Helm", minimal: "Values") -> None:
    spec = helm.template(minimal).workloads["jobs-beat"].owner["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_beat_runs_the_runtimes_scheduler(helm: "Helm", minimal: "Values") -> None:
    beat = helm.template(minimal | {"logLevel": "debug"}).workloads["jobs-beat"]
    assert beat.container["command"] == ["celery"]
    assert beat.container["args"][:3] == ["-A", "celery_runtime.app", "beat"]
    assert beat.args == {"loglevel": "debug", "scheduler": "celery_runtime.beat:Scheduler"}
    assert beat.env == {"CELERY_APP": "shop.celery:app"}


def test_beat_takes_the_common_environment_and_its_own_place(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["env"] = {"A": "b"}
    minimal["beat"] = {
        "nodeSelector": {"pool": "small"},
        "affinity": {"nodeAffinity": {}},
        "tolerations": [{"operator": "Exists"}],
        "podAnnotations": {"example/owner": "shop"},
    }
    beat = helm.template(minimal).workloads["jobs-beat"]
    assert beat.env["A"] == "b"
    assert beat.spec["nodeSelector"] == {"pool": "small"}
    assert beat.spec["affinity"] == {"nodeAffinity": {}}
    assert beat.spec["tolerations"] == [{"operator": "Exists"}]
    assert beat.metadata["annotations"]["example/owner"] == "shop"


def test_beat_can_be_left_out(helm: "Helm", minimal: "Values") -> None:
    minimal["beat"] = {"enabled": False}
    assert "jobs-beat" not in helm.template(minimal).workloads


def test_a_schedule_set_to_null_is_removed(helm: "Helm", minimal: "Values") -> None:
    minimal["beat"] = {"schedule": {"a": {"task": "t", "every": 5}, "b": None}}
    assert helm.template(minimal).settings["beat"]["schedule"] == {"a": {"task": "t", "every": 5}}
