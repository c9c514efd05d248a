"""Ways to scale that cannot work: each is refused with the key and the mend."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

BOUNDS = {"minReplicas": 1, "maxReplicas": 20, "queueWaitSeconds": 10}
NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
REDIS = NO_RABBITMQ | {"broker": {"kind": "redis"}}
SQS = NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}}
NO_EXPORTER = {"exporter": {"enabled": False}}
PLAIN = {"runtime": False}


def io(**bounds: object) -> dict[str, Any]:
    """The group io with these bounds; None takes one away."""
    stated = {name: value for name, value in (BOUNDS | bounds).items() if value is not None}
    return {"workers": {"io": {"queues": ["email"], "autoscaling": stated}}}


def by(mode: str, **more: object) -> dict[str, Any]:
    """A mode, with a group that it scales."""
    return io() | {"autoscaling": {"mode": mode, **more}}


#: Values over the smallest that work, and a part of the message.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # The exporter.
    (
        {"exporter": {"enabled": True}},
        "exporter.image.repository: missing. Build images/exporter/Dockerfile and name the image",
    ),
    (
        {"exporter": {"image": {"repository": "x"}}},
        "exporter.image.tag: missing. Set a tag or exporter.image.digest",
    ),
    (
        {"exporter": {"image": {"repository": "x:1", "tag": "1"}}},
        'exporter.image.repository: "x:1" has a tag or digest in it. Put that into exporter.image.',
    ),
    (
        {"exporter": {"image": {"repository": "x", "tag": 1.5}}},
        "exporter.image.tag: 1.5 was read as a number. Quote it",
    ),
    (
        {"exporter": {"image": {"repository": "x", "tag": "1"}, "tasksFrom": "broker"}},
        "at '/exporter/tasksFrom': value must be one of 'workers', 'events', <nil>",
    ),
    (
        PLAIN | {"exporter": {"image": {"repository": "x", "tag": "1"}, "tasksFrom": "workers"}},
        "exporter.tasksFrom: workers need celery_runtime in the image, and runtime is false. ",
    ),
    (
        SQS | {"exporter": {"image": {"repository": "x", "tag": "1"}, "tasksFrom": "events"}},
        "exporter.tasksFrom: SQS has no events. Remove it for workers.",
    ),
    (
        PLAIN | NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing"}},
        "exporter.enabled: SQS has no events, and workers without celery_runtime tell nothing (run",
    ),
    (
        {"fullnameOverride": "7shop"},
        'fullnameOverride: "7shop-exporter" cannot name a Service. Use a name that starts with a',
    ),
    # Modes.
    (by("magic"), "at '/autoscaling/mode': value must be one of 'none', 'keda'"),
    (
        PLAIN | by("keda"),
        "autoscaling.mode: keda needs celery_runtime in the image, whose workers say what they run",
    ),
    (PLAIN | by("hpa"), "autoscaling.mode: hpa needs celery_runtime in the image"),
    (
        NO_EXPORTER | by("keda"),
        "autoscaling.mode: keda is decided by the exporter, and exporter.enabled is false. Set it",
    ),
    (NO_EXPORTER | by("hpa"), "autoscaling.mode: hpa is decided by the exporter"),
    (
        NO_EXPORTER | by("queue-length"),
        "autoscaling.externalMetricsApi: is served by the exporter, and exporter.enabled is false.",
    ),
    (
        PLAIN | by("queue-length"),
        "autoscaling.externalMetricsApi: is served by an exporter that knows the worker pods, and",
    ),
    (
        REDIS | by("queue-length"),
        "autoscaling.mode: queue-length is a metric of RabbitMQ, and broker.kind is redis. Use",
    ),
    (
        {"autoscaling": {"mode": "keda"}},
        "autoscaling.mode: keda, but it would scale no group. Give one autoscaling: {minReplicas:",
    ),
    (
        by("hpa", tls={"existingSecret": "own"}),
        "autoscaling.tls.ca: missing. The API server has to verify the certificate in own",
    ),
    (
        by("queue-length", messagesPerReplica=0),
        "at '/autoscaling/messagesPerReplica': minimum: got 0, want 1",
    ),
    (
        by("keda-triggers")
        | NO_RABBITMQ
        | {"broker": {"kind": "redis", "mode": "existing", "existingSecret": "url"}},
        "autoscaling.mode: keda-triggers cannot take Redis' address from a Secret's url. Set",
    ),
    (
        by("keda-triggers")
        | PLAIN
        | NO_RABBITMQ
        | NO_EXPORTER
        | {"broker": {"kind": "sqs", "mode": "existing"}},
        "autoscaling.mode: keda-triggers needs broker.region on SQS, which runtime: false does not",
    ),
    # Groups.
    (
        io(minReplicas=5, maxReplicas=4),
        "workers.io.autoscaling.minReplicas: 5 is more than maxReplicas, 4. Lower it, or raise",
    ),
    (io(maxReplicas=None), "workers.io.autoscaling: maxReplicas missing. Write it as {minReplicas"),
    (
        io(minReplicas=None, queueWaitSeconds=None),
        "workers.io.autoscaling: minReplicas and queueWaitSeconds missing. Write it as",
    ),
    (
        io(queueWaitSeconds=0),
        "workers.io.autoscaling.queueWaitSeconds: 0 cannot be kept: starting a task takes time.",
    ),
    (io(queueWaitSeconds=-1.5), "workers.io.autoscaling.queueWaitSeconds: -1.5 cannot be kept"),
    (io(maxReplicas=0), "at '/workers/io/autoscaling/maxReplicas': minimum: got 0, want 1"),
    (io(maxReplica=1), "at '/workers/io/autoscaling': additional properties 'maxReplica' not"),
    *(
        (
            io(minReplicas=0) | {"autoscaling": {"mode": mode}},
            "workers.io.autoscaling.minReplicas: 0, but the HPA does not start what has no pod "
            f"(autoscaling.mode: {mode}). Use 1 or more, or autoscaling.mode keda or keda-triggers",
        )
        for mode in ("hpa", "queue-length", "cpu")
    ),
    (
        {
            "workers": {"io": {"queues": ["email"], "autoscaling": BOUNDS, "replicas": 3}},
            "autoscaling": {"mode": "cpu"},
        },
        "workers.io.replicas: would fight with autoscaling (autoscaling.mode: cpu). Remove it and",
    ),
    (
        by("cpu") | {"workerDefaults": {"resources": {"requests": {"cpu": None}}}},
        "workers.io.resources.requests.cpu: missing, and autoscaling.mode cpu counts in shares of",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:60] for _, m in REFUSED])
def test_it_is_refused_with_the_key_and_the_mend(
    helm: "Helm", minimal: "Values", change: dict[str, Any], message: str
) -> None:
    assert message in helm.refusal(minimal | change)


def test_one_mistake_is_said_once(helm: "Helm", minimal: "Values") -> None:
    assert (
        helm.refusal(minimal | io(minReplicas=0) | {"autoscaling": {"mode": "hpa"}}).count("\n  - ")
        == 1
    )


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(io(minReplicas=0), id="bounds without a mode"),
        pytest.param(PLAIN | by("keda-triggers"), id="KEDA's triggers for plain workers"),
        pytest.param(PLAIN | by("queue-length", externalMetricsApi=False), id="plain, adapter"),
        pytest.param(PLAIN | NO_EXPORTER | by("cpu"), id="CPU without the exporter"),
        pytest.param(NO_EXPORTER | by("queue-length", externalMetricsApi=False), id="adapter"),
        pytest.param(SQS | io(minReplicas=0) | {"autoscaling": {"mode": "keda"}}, id="SQS"),
    ],
)
def test_what_can_work_is_taken(helm: "Helm", minimal: "Values", values: "Values") -> None:
    assert helm.template(minimal | values).celery


def test_replicas_are_no_conflict_where_nothing_scales(helm: "Helm", minimal: "Values") -> None:
    minimal["workers"]["io"] |= {"replicas": 2, "autoscaling": BOUNDS}
    assert helm.template(minimal).one("Deployment", "jobs-worker-io")["spec"]["replicas"] == 2
