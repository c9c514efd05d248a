"""Beat: one, never two."""

import json
from typing import TYPE_CHECKING

import kubernetes_validate

from celery_runtime.settings.parsing import parse

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
    assert beat.args == {"loglevel": "debug", "scheduler": "celery_runtime.beat.redis:Scheduler"}
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


def test_releases_that_share_a_redis_share_no_schedule_and_no_lock(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["fullnameOverride"] = "shop"
    ours = helm.template(minimal).one("ConfigMap", "shop-settings")
    theirs = helm.template(minimal, "--namespace", "other").one("ConfigMap", "shop-settings")
    prefixes = [
        parse(json.loads(each["data"]["settings.json"])).beat_key_prefix for each in (ours, theirs)
    ]
    assert prefixes == ["redbeat:celery-demo/shop:", "redbeat:other/shop:"]


def test_beat_in_redis_has_no_volume(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    assert not release.all("PersistentVolumeClaim")
    assert {volume["name"] for volume in release.workloads["jobs-beat"].spec["volumes"]} == {
        *("celery-runtime", "tmp")
    }


def test_beat_on_a_volume_keeps_its_schedule_there(helm: "Helm", minimal: "Values") -> None:
    minimal["beat"] = {"store": "volume", "volume": {"size": "5Gi", "className": "fast"}}
    release = helm.template(minimal)
    claim = release.one("PersistentVolumeClaim", "jobs-beat")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }
    beat = release.workloads["jobs-beat"]
    assert beat.args["scheduler"] == "celery_runtime.beat.volume:Scheduler"
    (mount,) = [m for m in beat.container["volumeMounts"] if m["name"] == "schedule"]
    assert beat.args["schedule"].startswith(f"{mount['mountPath']}/")
    (volume,) = [v for v in beat.spec["volumes"] if v["name"] == "schedule"]
    assert volume["persistentVolumeClaim"] == {"claimName": "jobs-beat"}
    assert beat.owner["spec"]["strategy"] == {"type": "Recreate"}
    assert "beat" not in release.settings
    workers = [w for w in release.celery if w.component == "worker"]
    assert not [v for w in workers for v in w.spec["volumes"] if v["name"] == "schedule"]


def test_a_volume_of_default_size_and_class_fits_the_schema_of_kubernetes(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal["beat"] = {"store": "volume"}
    release = helm.template(minimal)
    claim = release.one("PersistentVolumeClaim", "jobs-beat")
    assert claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert "storageClassName" not in claim["spec"]
    assert kubernetes_validate.validate(claim, "1.34", strict=True)
    assert kubernetes_validate.validate(release.workloads["jobs-beat"].owner, "1.34", strict=True)
