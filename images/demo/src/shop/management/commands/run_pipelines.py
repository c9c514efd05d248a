"""``run_pipelines``: send real work, watch the ledger, and report what happened."""

import json
import time
from dataclasses import asdict
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser
from kombu.exceptions import OperationalError

from shop import pipelines, runs
from shop.accounting import FINAL, Expected
from shop.gateway_client import GatewayError
from shop.models import Run
from shop.scenarios import SCENARIOS, Options, Scenario

POLL_SECONDS = 1.0


class Command(BaseCommand):
    """Send a scenario's tasks and wait until all are done; one JSON object a line on stdout."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the scenario, its amounts and the deadline."""
        add = parser.add_argument
        add("--scenario", choices=sorted(SCENARIOS), default="pipelines")
        add("--run", default="", help="the run's id (default: a new one)")
        add("--timeout", type=float, default=180, help="seconds to wait for all to be done")
        add("--no-wait", action="store_true", help="send, print the ids, and leave")
        add("--orders", type=int, default=20, help="pipelines: orders to charge")
        add("--gateway-failures", type=int, default=3, help="pipelines: charges to refuse first")
        add("--users", type=int, default=4, help="pipelines: users whose metrics to fetch")
        add("--emails", type=int, default=20, help="pipelines: messages to send")
        add("--photos", type=int, help="pipelines: photographs to resize (default: all)")
        add("--queue", default="default", help="hold: the queue whose workers to hold")
        add("--count", type=int, default=1, help="hold: how many tasks")
        add("--seconds", type=float, default=10, help="hold: how long each takes")

    def handle(
        self, *, scenario: str, timeout: float, run: str, no_wait: bool, **given: object
    ) -> None:
        """Send, wait and report; exit 1 if anything is undone."""
        options = Options.among(given)
        try:
            pipelines.refuse_unknown(options.queue)
        except pipelines.UnknownQueue as error:
            raise CommandError(f"--queue {error}") from error
        record = begin(run or f"run-{uuid4().hex[:12]}", scenario)
        expected = _send(SCENARIOS[scenario], record, options)
        self._print(event="sent", run=record.pk, task_ids=[task.task_id for task in expected])
        if no_wait:
            return
        undone = self._wait(SCENARIOS[scenario], record.pk, timeout)
        self._print(**{**runs.report(record.pk), "undone": undone})
        if undone:
            raise SystemExit(1)

    def _wait(self, scenario: Scenario, run: str, timeout: float) -> list[dict[str, str]]:
        """Print the progress once a second; return what is missing when nothing more can come."""
        deadline = time.monotonic() + timeout
        while True:
            account = runs.account(run)
            self._print(event="progress", **account.progress())
            missing = scenario.missing(run, account)
            if all(task["state"] in FINAL for task in missing) or time.monotonic() >= deadline:
                return missing
            time.sleep(POLL_SECONDS)

    def _print(self, **line: object) -> None:
        self.stdout.write(json.dumps(line))
        self.stdout.flush()


def begin(run_id: str, scenario: str) -> Run:
    """Enter a run; refuse a name that another one has."""
    run: Run
    run, created = Run.objects.get_or_create(pk=run_id, defaults={"scenario": scenario})
    if not created:
        raise CommandError(f"--run {run_id}: there is such a run already; take another name")
    return run


def _send(scenario: Scenario, run: Run, options: Options) -> list[Expected]:
    """Send the run's tasks and keep what is expected of them."""
    try:
        expected = scenario.send(run.pk, options)
    except OperationalError as error:
        raise CommandError(f"the broker does not take tasks: {error}") from error
    except GatewayError as error:
        raise CommandError(f"GATEWAY_URL: {error}") from error
    run.expected = [asdict(task) for task in expected]
    run.save(update_fields=["expected"])
    return expected
