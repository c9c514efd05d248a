"""``prepare``: wait for PostgreSQL, then migrate."""

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from shop.database import migrate, wait_for_database


class Command(BaseCommand):
    """Wait for PostgreSQL, then migrate under a lock; safe in several pods at once."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the deadline."""
        parser.add_argument("--timeout", type=float, default=120, help="seconds to wait")

    def handle(self, *, timeout: float, **_: object) -> None:
        """Do it, or say which database did not answer."""
        try:
            wait_for_database(timeout)
        except OperationalError as error:
            raise CommandError(f"no database after {timeout:g} s: {error}") from error
        migrate()
