"""Replay of recorded arrivals: a CSV file with a header, in one of two formats.

- `arrival_seconds,service_seconds`: the seconds since any beginning, and how long the task ran.
- `app,func,end_timestamp,duration`: the Azure Functions invocation trace of 2021, as published in
  AzurePublicDataset (CC-BY). An invocation arrives at its end less its duration.

Rows may be in any order; the first arrival is put at zero. A long trace is cut, never squeezed:
time that is stretched or shrunk makes other bursts than those that were.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmarks.autoscaling.workloads import Workload

OWN = ("arrival_seconds", "service_seconds")
AZURE = ("end_timestamp", "duration")


class TraceError(Exception):
    """A file that is no trace; the message says where and why."""


def load(
    path: Path, *, wait: float, share: float = 0.95, max_task: float, until: float = 86_400
) -> Workload:
    """The workload of a trace, with the promise that it is tried against."""
    tasks = sorted(read(path))
    if not tasks:
        raise TraceError(f"{path}: no rows under the header.")
    first = tasks[0][0]
    kept = [(arrival - first, service) for arrival, service in tasks if arrival - first <= until]
    return Workload(
        name="T",
        title=f"trace {path.name}",
        arrivals_seconds=[arrival for arrival, _ in kept],
        service_seconds=[min(service, max_task) for _, service in kept],
        promised_wait_seconds=wait,
        promised_share=share,
        max_task_seconds=max_task,
        horizon_seconds=kept[-1][0] + max_task + 600,
    )


def read(path: Path) -> Iterator[tuple[float, float]]:
    """Arrival and service time of each row."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        names = rows.fieldnames or ()
        if not any(set(known) <= set(names) for known in (OWN, AZURE)):
            raise TraceError(
                f"{path}: the header is {','.join(names)!r}. It needs {','.join(OWN)} or, as "
                f"Azure Functions' trace of 2021, {','.join(AZURE)}."
            )
        for row in rows:
            try:
                yield times(row)
            except (TypeError, ValueError) as error:
                raise TraceError(f"{path}, line {rows.line_num}: {error}.") from error


def times(row: Mapping[str, str]) -> tuple[float, float]:
    """Arrival and service time of one row."""
    if OWN[0] in row:
        arrival, service = float(row[OWN[0]]), float(row[OWN[1]])
    else:
        end, service = float(row[AZURE[0]]), float(row[AZURE[1]])
        arrival = end - service
    if not service >= 0 or arrival != arrival:
        raise ValueError("an arrival and a duration of zero or more are needed")
    return arrival, service
