"""Getting the database ready: waiting for it, and migrating it once."""

import time

from django.core.management import call_command
from django.db import OperationalError, connection

POLL_SECONDS = 1.0
# Any number will do, as long as nobody else in this database locks it.
MIGRATION_LOCK = 0x5409


def wait_for_database(timeout_seconds: float) -> None:
    """Return once PostgreSQL takes connections; raise its last error after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.ensure_connection()
        except OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def migrate() -> None:
    """Apply the migrations. Of several pods that start at once, one does and the others wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            call_command("migrate", interactive=False, verbosity=1)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
