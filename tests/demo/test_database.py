"""The database is waited for, migrated once, and shared well by greenlets."""

import os
import subprocess
import sys
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from shop import database, tasks
from tests.demo.conftest import SHOP_ENVIRONMENT, closed, free_port

pytestmark = pytest.mark.usefixtures("_database")

SLEEP_IN_GREENLETS = """
from gevent import monkey
monkey.patch_all()
import time
import django
import gevent
django.setup()
from django.db import connection

def sleep():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1), pg_backend_pid()")
        pid = cursor.fetchone()[1]
    connection.close()
    return pid

def backends():
    greenlets = [gevent.spawn(sleep) for _ in range(8)]
    gevent.joinall(greenlets, raise_error=True)
    return {greenlet.value for greenlet in greenlets}

start = time.monotonic()
first = backends()
print(len(first), time.monotonic() - start, len(backends() | first))
"""


def test_greenlets_do_not_block_each_other_and_leave_their_connections_to_the_next() -> None:
    command = [sys.executable, "-c", SLEEP_IN_GREENLETS]
    done = subprocess.run(
        command,
        env=os.environ | SHOP_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    backends, seconds, backends_of_twice_as_many = done.stdout.split()
    assert int(backends) == int(backends_of_twice_as_many) == 8
    assert float(seconds) < 4


@pytest.mark.usefixtures("_worker")
def test_a_process_keeps_its_connection_from_task_to_task() -> None:
    without = backends()
    closed(tasks.hold.apply_async((0,), {"run": "run"}, queue="email").id)
    kept = backends() - without
    for _ in range(5):
        closed(tasks.hold.apply_async((0,), {"run": "run"}, queue="email").id)
    assert kept
    assert kept <= backends()


def backends() -> set[int]:
    """Return PostgreSQL's processes that serve somebody."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        return {pid for (pid,) in cursor.fetchall()}


def test_a_pod_that_prepares_waits_for_the_one_that_migrates() -> None:
    waiting = threading.Thread(target=prepare)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [database.MIGRATION_LOCK])
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
        cursor.execute("SELECT pg_advisory_unlock(%s)", [database.MIGRATION_LOCK])
    waiting.join(timeout=10)
    assert not waiting.is_alive()


def prepare() -> None:
    """Run the command in this thread."""
    call_command("prepare", timeout=5)
    connections.close_all()


def test_a_database_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    port = free_port()
    monkeypatch.setitem(connection.settings_dict, "PORT", port)
    with pytest.raises(CommandError, match=rf"no database after 0 s: .*{port}"):
        call_command("prepare", timeout=0)


def test_a_database_that_comes_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setattr(database, "POLL_SECONDS", 0.05)
    address = connection.settings_dict
    right = address["PORT"]
    monkeypatch.setitem(address, "PORT", free_port())
    threading.Timer(0.5, lambda: address.update(PORT=right)).start()
    database.wait_for_database(timeout_seconds=10)
    assert connection.is_usable()
