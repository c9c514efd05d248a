"""What Prometheus scrapes of worker groups and of what is planned for them."""

from collections.abc import Iterator, Mapping, Sequence

from celery_exporter.exposition import by, family
from celery_exporter.labels import labels
from celery_exporter.scaling import overviews
from celery_exporter.scaling.board import View
from celery_exporter.scaling.planner import Plan


def page(view: View, *, streams: int, patched: int, refused: int) -> str:
    """The part of the page that is about scaling."""
    plans = list(view.plans.values())
    scaled = [plan for plan in plans if plan.group.autoscaling]
    queues = overviews.promises(view.plans)
    return "".join(
        (*_pods(plans), *_decisions(scaled), _promises(queues), *_own(streams, patched, refused))
    )


def _pods(plans: Sequence[Plan]) -> Iterator[str]:
    seen = {plan.group.name: plan.seen for plan in plans if plan.seen}
    yield by(
        "group",
        "celery_group_replicas",
        "Pods of a worker group, without those that are being stopped.",
        {name: each.replicas for name, each in seen.items()},
    )
    yield by(
        "group",
        "celery_group_ready_replicas",
        "Those of them that are ready.",
        {name: each.ready_replicas for name, each in seen.items()},
    )
    yield by(
        "group",
        "celery_group_idle_replicas",
        "Those of them that are ready and run nothing.",
        {plan.group.name: plan.idle for plan in plans},
    )
    yield by(
        "group",
        "celery_group_running_tasks",
        "Tasks that the pods of a worker group run.",
        {name: each.running for name, each in seen.items()},
    )


def _decisions(scaled: Sequence[Plan]) -> Iterator[str]:
    yield family(
        "celery_worker_desired_replicas",
        "gauge",
        "Replicas that keep the promised queue wait, and why so many.",
        (
            (labels(group=plan.group.name, reason=plan.decision.reason), plan.decision.replicas)
            for plan in scaled
            if plan.decision
        ),
    )
    yield by(
        "group",
        "celery_group_queue_wait_promise_seconds",
        "How long a message may wait.",
        {plan.group.name: _promise(plan) for plan in scaled},
    )
    yield by(
        "group",
        "celery_exporter_scaling_frozen",
        "Whether a group stays as it is because too little is known.",
        {plan.group.name: plan.frozen for plan in scaled},
    )


def _promises(queues: Mapping[str, float]) -> str:
    return by(
        "queue_name",
        "celery_queue_wait_promise_seconds",
        "How long a message may wait: the shortest promise of the queue's groups.",
        queues,
    )


def _promise(plan: Plan) -> float | None:
    return plan.group.autoscaling.queue_wait_seconds if plan.group.autoscaling else None


def _own(streams: int, patched: int, refused: int) -> Iterator[str]:
    yield family(
        "celery_exporter_scaler_streams",
        "gauge",
        "Streams that KEDA waits on for a first message.",
        [("", streams)],
    )
    yield by(
        "outcome",
        "celery_exporter_deletion_cost_patches_total",
        "Deletion costs of pods that were to be written, by what became of it.",
        {"patched": patched, "refused": refused},
        kind="counter",
    )
