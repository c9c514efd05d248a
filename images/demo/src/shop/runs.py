"""Runs as the database has them: their accounts, their effects and their reports."""

from collections import Counter
from typing import Any

from django.db.models import Sum

from shop.accounting import Account, Expected, Record
from shop.models import (
    Charge,
    ChordFailure,
    ContactSheet,
    Effect,
    Email,
    GatewayCharge,
    Hold,
    Metric,
    Run,
    TaskRun,
    Thumbnail,
    Tick,
)

_EFFECTS: dict[str, type[Effect]] = {
    "charges": Charge,
    "emails_delivered": Email,
    "thumbnails": Thumbnail,
    "contact_sheets": ContactSheet,
    "metrics": Metric,
    "holds": Hold,
    "chord_failures": ChordFailure,
}


def account(run_id: str) -> Account:
    """Return what a run was to do beside what the ledger says of it."""
    run = Run.objects.filter(pk=run_id).first()
    expected = [_expected(fields) for fields in run.expected] if run else []
    duplicates = _duplicates(run_id)
    rows = TaskRun.objects.filter(run=run_id).order_by("sent_at")
    return Account.of(expected, (_record(row, duplicates[row.task_id]) for row in rows))


def effects(run_id: str) -> dict[str, int | None]:
    """Return how many effects of each kind a run has had.

    Ticks belong to no run: those since its start count, and without a start none can.
    """
    counts = {name: model.objects.filter(run=run_id).count() for name, model in _EFFECTS.items()}
    return {**counts, "ticks": ticks(run_id)}


def ticks(run_id: str) -> int | None:
    """Return how often the periodic task has run since the run's start; None if unknown."""
    run = Run.objects.filter(pk=run_id).first()
    return Tick.objects.filter(scheduled_at__gte=run.started_at).count() if run else None


def report(run_id: str) -> dict[str, Any]:
    """Return the rows, effects and undone tasks of a run as one JSON object."""
    book = account(run_id)
    return {
        "event": "report",
        "run": run_id,
        "rows": book.rows(),
        "effects": effects(run_id),
        "undone": book.undone(),
    }


def _duplicates(run_id: str) -> Counter[str]:
    """Count the repeated effects of each task: at the gateway and the SMTP sink too."""
    counts: Counter[str] = Counter()
    models: list[type[Effect]] = [*_EFFECTS.values(), GatewayCharge]
    for model in models:
        repeated = model.objects.filter(run=run_id, duplicates__gt=0)
        counts.update(dict(repeated.values_list("task_id").annotate(Sum("duplicates"))))
    return counts


def _expected(fields: dict[str, Any]) -> Expected:
    return Expected(**{**fields, "needs": tuple(fields["needs"])})


def _record(row: TaskRun, duplicates: int) -> Record:
    return Record(
        task_id=row.task_id,
        name=row.name,
        queue=row.queue,
        group=row.worker_group,
        state=row.state,
        sent_at=row.sent_at,
        finished_at=row.finished_at,
        retries=row.retries,
        starts=row.starts,
        duplicates=duplicates,
        reason=row.reason,
    )
