"""Everyone on the seven workloads, or on a trace: tables, a results file and plots.

Run by `make bench-autoscaling`, in about a minute of one core; on a trace of one's own by
`make bench-autoscaling TRACE=file.csv` (see `traces`).
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.benchmarks.autoscaling import traces
from tests.benchmarks.autoscaling.bound import lower_bound
from tests.benchmarks.autoscaling.ours import EVERYONE
from tests.benchmarks.autoscaling.outcome import Outcome, pool, run
from tests.benchmarks.autoscaling.report import Case, draw, machine, show, show_summary
from tests.benchmarks.autoscaling.scalers import Scaler
from tests.benchmarks.autoscaling.workloads import WORKLOADS, Workload, diurnal

HERE = Path(__file__).parent
RESULTS = HERE / "results.txt"
#: None of them was looked at while the policy was made.
SEEDS = (501, 502, 503, 504, 505)
WIDTH = 130


def main() -> None:
    """Run everything and print it."""
    options = parse()
    console = Console(width=WIDTH, color_system=None)
    if options.trace:
        workload = traces.load(options.trace, wait=options.wait, max_task=options.max_task)
        show(console, case([workload], start_seconds=options.pod_start))
        return
    cases = [
        case(workloads, start_seconds=options.pod_start)
        for workloads in track(seeded(), description="Simulating", console=console, transient=True)
    ]
    report(console, cases)
    with console.capture() as captured:
        report(console, cases)
    RESULTS.write_text("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    for path in draw(cases, HERE):
        console.print(path)


def parse() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="make bench-autoscaling")
    parser.add_argument("--trace", type=Path, help="CSV of arrivals to replay instead")
    parser.add_argument("--wait", type=float, default=30, help="promised wait of the trace, s")
    parser.add_argument("--max-task", type=float, default=3600, help="its longest task, s")
    parser.add_argument("--pod-start", type=float, default=5, help="until a new pod is ready, s")
    return parser.parse_args()


def seeded() -> Sequence[Sequence[Workload]]:
    """Each workload with each seed; of the long day, whose half a million tasks settle it, one."""
    return [[make(seed) for seed in seeds_of(make)] for make in WORKLOADS]


def seeds_of(make: Callable[[int], Workload]) -> Sequence[int]:
    """The seeds of a workload."""
    return SEEDS[:1] if make is diurnal else SEEDS


def case(workloads: Sequence[Workload], *, start_seconds: float) -> Case:
    """Everyone on a workload."""
    bounds = [lower_bound(one, slots=4, start_seconds=start_seconds) for one in workloads]

    def outcome(scaler: type[Scaler]) -> Outcome:
        seeded = zip(SEEDS, workloads, strict=False)
        clusters = [run(one, scaler, seed=s, start_seconds=start_seconds) for s, one in seeded]
        return pool(scaler.name, clusters)

    return Case(
        workload=workloads[0],
        bound_seconds=sum(bounds) / len(bounds),
        seeds=len(workloads),
        outcomes=tuple(outcome(scaler) for scaler in EVERYONE),
    )


def report(console: Console, cases: Sequence[Case]) -> None:
    """All tables."""
    console.print(f"{machine()}; simulated, 4 slots a pod, at most 20 pods")
    console.print()
    for one in cases:
        show(console, one)
    show_summary(console, cases)


main()
