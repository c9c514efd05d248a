"""``run_report RUN``: print the report of a run as one line of JSON."""

import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop import runs


class Command(BaseCommand):
    """Print the report of a run as one line of JSON; exit 1 if a task of it is undone."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the run's id."""
        parser.add_argument("run")

    def handle(self, *, run: str, **_: object) -> None:
        """Print it."""
        report = runs.report(run)
        if not report["rows"] and not report["undone"]:
            raise CommandError(f"the ledger knows no run {run!r}")
        self.stdout.write(json.dumps(report))
        if report["undone"]:
            raise SystemExit(1)
