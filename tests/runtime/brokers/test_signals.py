"""Signals that end a plain worker badly; each test asserts that, as in `test_traps.py`."""

import os
import signal

import pytest

from tests.runtime.brokers.bench import SAFE, Bench, exits, ready

pytestmark = pytest.mark.xdist_group("traps")

SOON_SECONDS = 20


def test_a_soft_shutdown_crashes_gevent_unless_it_is_our_drain(rabbit_bench: Bench) -> None:
    remapped = {"REMAP_SIGTERM": "SIGQUIT"}
    soft = {"worker_soft_shutdown_timeout": 4}
    plain = rabbit_bench.plain("gevent", environment=remapped, **SAFE, **soft)
    rabbit_bench.mounted.settings["config"] = soft
    shipped = rabbit_bench.shipped("gevent", "--concurrency=1", **remapped)
    ready(plain, shipped)
    rabbit_bench.plain_producer().send_task("journal.work", [60])
    rabbit_bench.producer().send_task("journal.work", [60])
    rabbit_bench.journal.wait("begun", count=2)
    codes = exits(plain, shipped, within_seconds=12)
    assert codes[0] != 0
    assert "BlockingSwitchOutError" in plain.log.read_text()
    assert codes[1] == 0
    assert rabbit_bench.depth() == 1


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
