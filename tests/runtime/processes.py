"""Processes of the tests: what descends from one, what it used, and how it stands still."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Under load it took up to 0.06 s.
STOP_SECONDS = 10


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    # Each thread has its own children.
    lists = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *(each for children in lists for child in children for each in family(int(child)))]


def cpu_seconds(*processes: int) -> float:
    """What they have used, in user and system mode."""
    # Another process's clock, as clock_getcpuclockid(3) computes it; /proc has ticks of 10 ms.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in processes)


def freeze(*processes: int) -> None:
    """Stop them, and wait until they have: kill(2) returns before the last thread stands still."""
    _signal(processes, signal.SIGSTOP)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_states(pid) - set("TZX") for pid in processes):
        assert time.monotonic() < deadline, f"{processes} do not stop"
        time.sleep(0.001)


def thaw(*processes: int) -> None:
    """Let them go on."""
    _signal(processes, signal.SIGCONT)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):  # a command that has ended since it was listed
            os.kill(pid, number)


def _states(pid: int) -> set[str]:
    """Of its threads, as proc(5) has them behind the name in parentheses."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return {thread.read_text().rpartition(") ")[2][0] for thread in threads}
    except (FileNotFoundError, ProcessLookupError):  # one ends just now
        return {"?"}
