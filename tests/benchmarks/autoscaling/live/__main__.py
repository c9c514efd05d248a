"""Two cases on a real cluster: ours and KEDA's rabbitmq trigger, each beside the simulator.

Run by `make bench-autoscaling-live`; it takes about 40 minutes, most of it waiting.
"""

import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ci.demo import Target, install
from ci.images import Image
from tests.benchmarks.autoscaling.bound import lower_bound
from tests.benchmarks.autoscaling.live.cases import (
    CASES,
    MAX_REPLICAS,
    PROMISED_SHARE,
    PROMISED_WAIT_SECONDS,
    SLOTS,
    Case,
)
from tests.benchmarks.autoscaling.live.recording import recording
from tests.benchmarks.autoscaling.live.scaling import BOTH, DEPLOYMENT, GROUP, QUEUE, Live
from tests.benchmarks.autoscaling.outcome import percentile, pool, run
from tests.benchmarks.autoscaling.report import machine, table_of
from tests.benchmarks.autoscaling.workloads import Workload
from tests.cluster.shop import Shop, eventually

RESULTS = Path(__file__).parents[1]
#: The phases of the simulated HPA and KEDA differ by seed; the real ones are what they are.
SEEDS = range(501, 521)
MEASURED = ("p50", "p95", "late", "replica-s", "killed", "undone", "pod start")
WIDTH = 130


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run came to."""

    waits: list[float]
    replica_seconds: float
    killed: float
    undone: float
    start_seconds: float

    @property
    def late_share(self) -> float:
        """Of all tasks."""
        return sum(wait > PROMISED_WAIT_SECONDS for wait in self.waits) / len(self.waits)


def main(names: Sequence[str]) -> None:
    """Run the cases of these names, or all, and write what each came to."""
    cases = {case.name: case for case in CASES}
    if unknown := set(names) - set(cases):
        sys.exit(f"There is no case {', '.join(unknown)}. Known: {', '.join(cases)}.")
    image, exporter = (
        Image(*os.environ[name].rsplit(":", 1)) for name in ("DEMO_IMAGE", "EXPORTER_IMAGE")
    )
    target = Target(dict(os.environ), image, exporter, namespace="celery-bench")
    shop = Shop(target)
    shop.remove()
    install(target)
    try:
        for name in names or cases:
            run_case(shop, cases[name])
    finally:
        shop.remove()


def run_case(shop: Shop, case: Case) -> None:
    """One case, into a file of its own."""
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(f"{machine()}; kind, {SLOTS} slots a pod, at most {MAX_REPLICAS} pods\n")
        compare(console, shop, case)
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    (RESULTS / f"results-live-{case.name}.txt").write_text(text)
    console.print(text, markup=False)


def compare(console: Console, shop: Shop, case: Case) -> None:
    """Everyone on one case, for real and simulated."""
    table = table_of(("", "", *MEASURED))
    for live in BOTH:
        arrivals, real = measure(shop, live, case)
        simulated = simulate(live, case, arrivals, start_seconds=real.start_seconds)
        for kind, figures in (("cluster", real), ("simulated", simulated)):
            table.add_row(live.simulated.name, kind, *cells(figures))
    bound = lower_bound(workload(case, arrivals), slots=SLOTS, start_seconds=real.start_seconds)
    console.print(
        f"{case.name}, {case.title}: {PROMISED_SHARE:.0%} of {len(arrivals)} tasks to start within "
        f"{PROMISED_WAIT_SECONDS} s; bound {bound:,.0f} replica-seconds",
        soft_wrap=True,
    )
    console.print(table)
    console.print()


def measure(shop: Shop, live: Live, case: Case) -> tuple[list[float], Figures]:
    """Run a case on the cluster; returns when its tasks came, too."""
    live.install(shop, case)
    try:
        _wait_for_none(shop, within_seconds=480)
        with recording(shop, GROUP) as recorder:
            tasks = [
                task
                for count, seconds in case.batches
                for task in shop.hold(QUEUE, count=count, seconds=seconds)
            ]
            time.sleep(case.watch_seconds)
            cost = recorder.replica_seconds(time.time())
            rows = _rows(shop, tasks)
    finally:
        live.remove(shop)
    sent = [float(row[0]) for row in rows]
    starts = [int(row[2]) for row in rows]
    return (
        sorted(at - min(sent) for at in sent),
        Figures(
            # The ledger has the last start of a task only.
            waits=sorted(float(row[1]) - float(row[0]) for row in rows if row[2] == "1"),
            replica_seconds=cost,
            killed=sum(starts) - len(starts),
            undone=sum(row[3] != "succeeded" for row in rows),
            start_seconds=statistics.median(recorder.start_seconds()),
        ),
    )


def simulate(live: Live, case: Case, arrivals: list[float], *, start_seconds: float) -> Figures:
    """The same in the simulator, from the arrivals and the start of pods that were measured."""
    work = workload(case, arrivals)
    clusters = [run(work, live.simulated, seed=seed, start_seconds=start_seconds) for seed in SEEDS]
    outcome = pool(live.simulated.name, clusters)
    return Figures(
        waits=sorted(wait for cluster in clusters for wait in cluster.waits),
        replica_seconds=outcome.replica_seconds,
        killed=outcome.killed / len(clusters),
        undone=sum(cluster.arrived - cluster.finished for cluster in clusters) / len(clusters),
        start_seconds=start_seconds,
    )


def workload(case: Case, arrivals: list[float]) -> Workload:
    """The case as the simulator has it, after a minute of nothing."""
    quiet = 60.0
    return Workload(
        name=case.name,
        title=case.title,
        arrivals_seconds=[quiet + at for at in arrivals],
        service_seconds=case.service_seconds,
        promised_wait_seconds=PROMISED_WAIT_SECONDS,
        promised_share=PROMISED_SHARE,
        max_task_seconds=case.max_task_seconds,
        horizon_seconds=quiet + max(arrivals) + case.watch_seconds,
    )


def cells(figures: Figures) -> tuple[str, ...]:
    """One line."""
    waits = figures.waits
    return (
        f"{percentile(waits, 0.5):.1f} s",
        f"{percentile(waits, 0.95):.1f} s",
        f"{figures.late_share:.1%}{'' if figures.late_share <= 1 - PROMISED_SHARE else ' broken'}",
        f"{figures.replica_seconds:,.0f}",
        f"{figures.killed:g}",
        f"{figures.undone:g}",
        f"{figures.start_seconds:.1f} s",
    )


def _wait_for_none(shop: Shop, *, within_seconds: float) -> None:
    eventually(
        lambda: not shop.all_pods(f"celery-worker-group={GROUP}"),
        within_seconds=within_seconds,
        what=f"{DEPLOYMENT} is at zero",
    )


def _rows(shop: Shop, tasks: list[str]) -> list[list[str]]:
    """When each task was sent and last begun, how often it was begun, and its state."""
    among = ", ".join(f"'{task}'" for task in tasks)
    columns = "extract(epoch FROM sent_at), extract(epoch FROM started_at), starts, state"
    return shop.sql(f"SELECT {columns} FROM shop_taskrun WHERE task_id IN ({among})")  # noqa: S608


main(sys.argv[1:])
