"""The scenarios of ``run_pipelines``: what each sends, and when each is complete."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings

from shop import gateway_client, photos, pipelines, runs, tasks
from shop.accounting import FAILED, UNSENT, Account, Expected
from shop.models import ChordFailure, ContactSheet


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much a scenario sends."""

    orders: int
    gateway_failures: int
    users: int
    emails: int
    photos: int | None
    count: int
    seconds: float
    queue: str

    @classmethod
    def among(cls, given: Mapping[str, Any]) -> "Options":
        """Pick the options from all that a command line has given."""
        return cls(**{field.name: given[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Scenario:
    """What to send for a run, and why it is not complete yet (an empty list when it is)."""

    send: Callable[[str, Options], list[Expected]]
    missing: Callable[[str, Account], list[dict[str, str]]]


def _send_pipelines(run: str, options: Options) -> list[Expected]:
    gateway_client.fail_next(options.gateway_failures)
    names = photos.names(settings.PHOTOS_DIR)[: options.photos]
    return [
        *pipelines.send_charges(run, options.orders),
        *pipelines.send_metrics(run, range(1, options.users + 1)),
        *pipelines.send_emails(run, options.emails),
        *(expected for name in names for expected in pipelines.send_thumbnails(run, name)),
    ]


def _missing_pipelines(run: str, account: Account) -> list[dict[str, str]]:
    if runs.ticks(run):
        return account.undone()
    reason = "no tick since the run's start: is beat running?"
    return [*account.undone(), _missing(tasks.reconcile_orders.name, reason)]


def _send_chord_error(run: str, _: Options) -> list[Expected]:
    return pipelines.send_broken_chord(run, photos.names(settings.PHOTOS_DIR)[0], "missing.png")


def _missing_chord_error(run: str, account: Account) -> list[dict[str, str]]:
    """Want the error handler's row, and no contact sheet."""
    if ContactSheet.objects.filter(run=run).exists():
        reason = "it ran, although a task before it has failed"
        return [_missing(tasks.combine_thumbnails.name, reason, FAILED)]
    handler = tasks.report_chord_failure.name
    if ChordFailure.objects.filter(run=run).exists():
        return [line for line in account.undone() if line["task"] == handler]
    states = [record.state for record in account.records.values() if record.name == handler]
    reason = "the error handler has recorded nothing"
    return [_missing(handler, reason, states[0] if states else UNSENT)]


def _missing(task: str, reason: str, state: str = UNSENT) -> dict[str, str]:
    return {"task_id": "", "task": task, "queue": "", "state": state, "reason": reason}


SCENARIOS = {
    "pipelines": Scenario(_send_pipelines, _missing_pipelines),
    "chord-error": Scenario(_send_chord_error, _missing_chord_error),
    "hold": Scenario(
        lambda run, options: pipelines.send_holds(
            run, options.queue, options.count, options.seconds
        ),
        lambda _, account: account.undone(),
    ),
}
