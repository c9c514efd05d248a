"""Pods that would not be safe: each is refused with the key and the mend."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

QUEUES = {"queues": ["email"]}
DIGEST = "sha256:" + "0" * 64


def io(**keys: object) -> dict[str, Any]:
    """A group with these keys."""
    return {"workers": {"io": QUEUES | keys}}


def pod(metadata: object = None, **spec: object) -> dict[str, Any]:
    """A podTemplate."""
    return {"podTemplate": {"spec": spec} | ({"metadata": metadata} if metadata else {})}


def own(**keys: object) -> dict[str, Any]:
    """A podTemplate that says this of the worker's container."""
    return pod(containers=[{"name": "worker", **keys}])


IO = "workers.io.podTemplate"
WORKER = f"{IO}.spec.containers.worker"

#: Values over the smallest that work, and a part of the message.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # Labels that select.
    (
        io(**pod({"labels": {"celery-worker-group": "cpu"}})),
        f"{IO}.metadata.labels.celery-worker-group: its pods are found by it. Remove it; labels of "
        "your own are free.",
    ),
    *(
        (
            {component: pod({"labels": {f"app.kubernetes.io/{label}": "x"}})},
            f"{component}.podTemplate.metadata.labels.app.kubernetes.io/{label}: its pods are",
        )
        for component in ("workerDefaults", "beat", "flower")
        for label in ("name", "instance", "component")
    ),
    # Settings and credentials.
    (
        io(**pod({"annotations": {"checksum/runtime": "0"}})),
        f"{IO}.metadata.annotations.checksum/runtime: restarts the pods when their settings",
    ),
    *(
        (
            {"flower": pod({"annotations": {f"checksum/{name}": "0"}})},
            f"flower.podTemplate.metadata.annotations.checksum/{name}: restarts the pods when",
        )
        for name in ("runtime", "flower")
    ),
    (
        {"beat": pod(volumes=[{"name": "celery-runtime", "projected": {"sources": []}}])},
        "beat.podTemplate.spec.volumes.celery-runtime: holds settings and credentials. Give your",
    ),
    (
        io(**own(volumeMounts=[{"name": "x", "mountPath": "/etc/celery-runtime/"}])),
        f"{WORKER}.volumeMounts: /etc/celery-runtime/ is where settings and credentials are. "
        "Choose another path.",
    ),
    # Stopping in time.
    (
        io(**own(lifecycle={"preStop": {"sleep": {"seconds": 60}}})),
        f"{WORKER}.lifecycle.preStop: takes its time from the grace period, and the worker would "
        "not know of it. Remove it.",
    ),
    (
        io(**pod(terminationGracePeriodSeconds=5)),
        f"{IO}.spec.terminationGracePeriodSeconds: the worker would not know of it. Remove it and "
        "use terminationGracePeriodSeconds of the group.",
    ),
    (
        {"workerDefaults": pod(terminationGracePeriodSeconds=None)},
        "workerDefaults.podTemplate.spec.terminationGracePeriodSeconds: the worker would not know",
    ),
    *(
        (
            {component: pod(shareProcessNamespace=False)},
            f"{component}.podTemplate.spec.shareProcessNamespace: is true, so that a pod that is "
            "told to stop while it starts does stop. Remove it.",
        )
        for component in ("workerDefaults", "beat", "flower")
    ),
    # Containers.
    (
        io(**own(args=["worker"])),
        f"{WORKER}.args: hold the limits that follow from maxTaskSeconds. Remove it; concurrency, "
        "pool and config say the rest.",
    ),
    (
        {"beat": pod(containers=[{"name": "beat", "args": None}])},
        "beat.podTemplate.spec.containers.beat.args: are made by the chart. Remove it.",
    ),
    (
        io(**own(image="shop:2")),
        f"{WORKER}.image: a canary could not have another. Remove it and use image of the group.",
    ),
    (
        io(**own(env=[{"name": "CELERY_APP", "value": "x"}])),
        f"{WORKER}.env.CELERY_APP: set by the chart. Remove it and use app.",
    ),
    (
        {"beat": pod(containers=[{"name": "beat", "env": [{"name": "CELERY_BROKER_URL"}]}])},
        "beat.podTemplate.spec.containers.beat.env.CELERY_BROKER_URL: Celery would connect there",
    ),
    (
        io(**pod(containers=[{"name": "wroker", "stdin": True}])),
        f"{IO}.spec.containers.wroker: has neither an image nor a command. Name it worker to "
        "change the pod's own container, or say what it runs.",
    ),
    (
        {"beat": pod(initContainers=[{"name": "beat"}])},
        "beat.podTemplate.spec.initContainers.beat: has neither an image nor a command.",
    ),
    (io(**pod(containers=[{"image": "x"}])), "spec/containers/0': missing property 'name'"),
    (io(**pod(containers=None)), "podTemplate/spec/containers': got null, want array"),
    (io(**pod(volumes=[{"emptyDir": {}}])), "spec/volumes/0': missing property 'name'"),
    (io(**own(env=["A=b"])), "containers/0/env/0': got string, want object"),
    (io(**own(volumeMounts=[{"name": "x"}])), "volumeMounts/0': missing property 'mountPath'"),
    (io(podTemplate={"spce": {}}), "at '/workers/io/podTemplate': additional properties 'spce'"),
    (
        io(podTemplate={"metadata": {"name": "x"}}),
        "at '/workers/io/podTemplate/metadata': additional properties 'name' not allowed",
    ),
    # Budgets, spread, priority, starts.
    *(
        (
            io(podDisruptionBudget={"maxUnavailable": none}),
            f"workers.io.podDisruptionBudget.maxUnavailable: {none} would keep every node of the "
            "group from being drained. Use 1 or more.",
        )
        for none in (0, "0%")
    ),
    (
        {"workerDefaults": {"podDisruptionBudget": {"maxUnavailable": 0}}},
        "workers.cpu.podDisruptionBudget.maxUnavailable: 0 would keep every node",
    ),
    (io(podDisruptionBudget={"maxUnavailable": "half"}), "maxUnavailable': 'half' does not match"),
    (io(podDisruptionBudget={"minAvailable": 1}), "additional properties 'minAvailable' not"),
    (io(podDisruptionBudget={}), "podDisruptionBudget': missing property 'maxUnavailable'"),
    (
        io(topologySpreadConstraints=[{"topologyKey": "rack"}]),
        "topologySpreadConstraints/0': missing properties 'maxSkew', 'whenUnsatisfiable'",
    ),
    (io(priorityClassName=5), "at '/workers/io/priorityClassName': got number, want string"),
    (io(startupSeconds=0), "at '/workers/io/startupSeconds': minimum: got 0, want 1"),
    # Images and canaries.
    (
        io(image={"tag": 2}),
        "workers.io.image.tag: 2 was read as a number. Quote it, or give it by --set-string.",
    ),
    (io(image={"repository": "shop:2"}), 'workers.io.image.repository: "shop:2" has a tag or'),
    (io(image={}), "at '/workers/io/image': minProperties: got 0, want 1"),
    (io(canary={"replicas": 1}), "at '/workers/io/canary': missing property 'image'"),
    (io(canary={"image": {"tag": "2"}, "share": 0.1}), "additional properties 'share' not"),
    (
        io(canary={"image": {"tag": "1.4.2"}}),
        "workers.io.canary.image: is the image of the group, so that the canary would prove "
        "nothing. Give it another tag or digest.",
    ),
    (
        io(image={"digest": DIGEST}, canary={"image": {"digest": DIGEST}}),
        "workers.io.canary.image: is the image of the group",
    ),
    (
        io(canary={"image": {"tag": 2}}),
        "workers.io.canary.image.tag: 2 was read as a number. Quote it",
    ),
    (
        io(canary={"image": {"digest": "abc"}}),
        'workers.io.canary.image.digest: "abc" is not a digest. Write it as sha256: and 64',
    ),
    (
        {"workers": {"io": QUEUES | {"canary": {"image": {"tag": "2"}}}, "io-canary": QUEUES}},
        "workers.io.canary: is named io-canary, which is a group of its own. Rename "
        "workers.io-canary.",
    ),
    (
        {"workers": {"g" * 46: QUEUES | {"canary": {"image": {"tag": "2"}}}}},
        f"workers.{'g' * 46}.canary: makes the name jobs-worker-{'g' * 46}-canary, 65 characters "
        "of the 63 allowed. Shorten the group's name or set fullnameOverride.",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:60] for _, m in REFUSED])
def test_what_would_not_be_safe_is_refused_with_the_mend(
    helm: "Helm", minimal: "Values", change: dict[str, Any], message: str
) -> None:
    assert message in helm.refusal(minimal | change)


def test_one_mistake_is_said_once(helm: "Helm", minimal: "Values") -> None:
    assert (
        helm.refusal(minimal | io(**own(args=[]), canary={"image": {"tag": "2"}})).count("\n  - ")
        == 1
    )
