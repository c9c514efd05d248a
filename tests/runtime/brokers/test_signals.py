"""Signals that end a plain worker badly; each test asserts that, as in `test_traps.py`."""

import os
import signal
import time
from pathlib import Path

from tests.runtime.brokers.bench import SAFE, Bench, exits, ready, wait_until
from tests.runtime.conftest import Service

SOON_SECONDS = 20
#: One in hundreds meets a greenlet at work.
ATTEMPTS = 3


def test_a_soft_shutdown_crashes_gevent_unless_it_is_our_drain(rabbit_bench: Bench) -> None:
    remapped = {"REMAP_SIGTERM": "SIGQUIT"}
    soft = {"worker_soft_shutdown_timeout": 4}
    rabbit_bench.mounted.settings["config"] = soft
    shipped = rabbit_bench.shipped("gevent", "--concurrency=1", **remapped)
    ready(shipped)
    rabbit_bench.producer().send_task("journal.work", [60])
    rabbit_bench.plain_producer().send_task("journal.work", [60])
    rabbit_bench.journal.wait("begun")
    for attempt in range(1, ATTEMPTS + 1):
        plain = rabbit_bench.plain("gevent", environment=remapped, **SAFE, **soft)
        rabbit_bench.journal.wait("begun", count=1 + attempt)
        # A signal that meets a greenlet at work, as on a busy machine, does not crash the plain
        # one, which then gives its task back to the next.
        wait_until(lambda: sleeps(plain), service=plain)  # noqa: B023
        if exits(plain, within_seconds=12) != [0]:
            break
    assert "BlockingSwitchOutError" in plain.log.read_text()
    assert exits(shipped, within_seconds=12) == [0]
    assert rabbit_bench.depth() == 1


def sleeps(service: Service) -> bool:
    """Whether it waits, and does not wait for a processor, ten times in a row."""
    for _ in range(10):
        # The name before the state may contain spaces; it ends with the last parenthesis.
        _, _, rest = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")
        if rest.split()[0] != "S":
            return False
        time.sleep(0.02)
    return True


def test_a_signal_to_the_process_group_kills_the_tasks_of_a_plain_worker(
    rabbit_bench: Bench,
) -> None:
    plain, shipped = rabbit_bench.plain("prefork"), rabbit_bench.shipped("prefork")
    ready(plain, shipped)
    rabbit_bench.plain_producer().send_task("journal.work", [3])
    kept = rabbit_bench.producer().send_task("journal.work", [3])
    rabbit_bench.journal.wait("begun", count=2)
    for worker in (plain, shipped):
        os.killpg(worker.process.pid, signal.SIGTERM)
    assert shipped.process.wait(timeout=SOON_SECONDS) == 0
    plain.process.wait(timeout=SOON_SECONDS)
    assert rabbit_bench.journal.entries("done") == [kept.id]
