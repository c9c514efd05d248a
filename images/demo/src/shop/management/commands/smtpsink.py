"""``smtpsink``: serve SMTP and keep each message."""

import asyncio

from django.core.management.base import BaseCommand, CommandParser

from shop.smtpsink import serve


class Command(BaseCommand):
    """Serve SMTP until SIGTERM and keep each message in PostgreSQL."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the address to listen on."""
        parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
        parser.add_argument("--port", type=int, default=8025, help="port to listen on")

    def handle(self, *, host: str, port: int, **_: object) -> None:
        """Serve."""
        asyncio.run(serve(host, port))
