"""Tables of what came out, and the plots."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.autoscaling.outcome import Outcome
from tests.benchmarks.autoscaling.workloads import Workload

COLUMNS = ("", "p50", "p95", "p99", "late", "replica-s", "x bound", "killed", "steps/h")
PLOTS_DPI = 80
RATIOS = (1, 2, 5, 10, 20, 50)
LATE_PERCENT = (0, 0.1, 1, 10, 100)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One workload: what it asks for, the bound, and everyone's outcome; ours is the last."""

    workload: Workload
    bound_seconds: float
    seeds: int
    outcomes: tuple[Outcome, ...]

    @property
    def ours(self) -> Outcome:
        """The project's own."""
        return self.outcomes[-1]

    @property
    def best_peer(self) -> Outcome:
        """The peer with the fewest late tasks, and of those the cheapest."""
        return min(self.outcomes[:-1], key=lambda one: (one.late, one.replica_seconds))

    @property
    def won(self) -> bool:
        """Fewer late tasks (or none either) for no more replica-seconds than the best peer."""
        ours, peer = self.ours, self.best_peer
        fewer = ours.late < peer.late or ours.late == peer.late == 0
        return fewer and ours.replica_seconds <= peer.replica_seconds

    def kept(self, outcome: Outcome) -> bool:
        """Whether the promise was kept."""
        return outcome.late_share <= 1 - self.workload.promised_share

    def ratio(self, outcome: Outcome) -> float:
        """Replica-seconds over the bound."""
        return outcome.replica_seconds / self.bound_seconds


def machine() -> str:
    """When and where this was."""
    cores = os.cpu_count()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {cores} cores"
    )


def show(console: Console, case: Case) -> None:
    """Everyone on one workload."""
    work = case.workload
    seeds = "1 seed" if case.seeds == 1 else f"{case.seeds} seeds"
    title = (
        f"{work.name}, {work.title}: {work.promised_share:.0%} of {case.ours.tasks:,} tasks "
        f"({seeds}) to start within {work.promised_wait_seconds:g} s; "
        f"bound {case.bound_seconds:,.0f} replica-seconds"
    )
    table = table_of(COLUMNS)
    for outcome in case.outcomes:
        table.add_row(*cells(case, outcome))
    console.print(title, soft_wrap=True)
    console.print(table)
    console.print()


def cells(case: Case, outcome: Outcome) -> Sequence[str]:
    """One line."""
    killed = f"{outcome.killed}, {outcome.lost_seconds:,.0f} s lost" if outcome.killed else "0"
    return (
        outcome.scaler,
        *(
            "never" if seconds == float("inf") else f"{seconds:.1f} s"
            for seconds in (outcome.p50_seconds, outcome.p95_seconds, outcome.p99_seconds)
        ),
        f"{outcome.late_share:.2%}{'' if case.kept(outcome) else ' broken'}",
        f"{outcome.replica_seconds:,.0f}",
        f"{case.ratio(outcome):.2f}",
        killed,
        f"{outcome.scalings:.1f}",
    )


def table_of(columns: Sequence[str]) -> Table:
    """A table in Markdown, numbers to the right."""
    table = Table(box=box.MARKDOWN)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


def show_summary(console: Console, cases: Sequence[Case]) -> None:
    """Ours beside the best peer of each workload."""
    table = table_of(("", "best peer", "late", "replica-s", "our late", "replica-s", "x bound", ""))
    for case in cases:
        ours, peer = case.ours, case.best_peer
        table.add_row(
            f"{case.workload.name}, {case.workload.title}",
            peer.scaler,
            f"{peer.late_share:.2%}",
            f"{peer.replica_seconds:,.0f}",
            f"{ours.late_share:.2%}",
            f"{ours.replica_seconds:,.0f}",
            f"{case.ratio(ours):.2f}",
            "better" if case.won else "not better",
        )
    console.print(
        "Beside the peer with the fewest late tasks (of equals the cheapest): better is fewer "
        "late, or none either, for no more replica-seconds",
        soft_wrap=True,
    )
    console.print(table)


def draw(cases: Sequence[Case], folder: Path) -> list[Path]:
    """Late tasks against costs, and replicas over time."""
    overview, replicas = Figure(figsize=(13, 6.5)), Figure(figsize=(13, 6.5))
    for place, case in enumerate(cases, start=1):
        draw_costs(overview.add_subplot(2, 4, place), case)
        draw_replicas(replicas.add_subplot(2, 4, place), case)
    paths = [folder / "costs.png", folder / "replicas.png"]
    for figure, path in zip((overview, replicas), paths, strict=True):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower right")
        figure.tight_layout()
        figure.savefig(path, dpi=PLOTS_DPI)
    return paths


def draw_costs(axes: Axes, case: Case) -> None:
    """A point for each scaler: to the lower left is better."""
    for outcome in case.outcomes:
        ours = outcome is case.ours
        axes.scatter(
            [case.ratio(outcome)],
            [100 * outcome.late_share],
            label=outcome.scaler,
            marker="*" if ours else "o",
            s=160 if ours else 40,
        )
    axes.axhline(100 * (1 - case.workload.promised_share), linestyle=":", color="grey")
    axes.set_xscale("log")
    axes.set_xlim(0.9, 60)
    axes.set_xticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
    axes.minorticks_off()
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_yticks(LATE_PERCENT, [f"{percent:g}" for percent in LATE_PERCENT])
    axes.set_ylim(-0.02, 150)
    axes.set_title(f"{case.workload.name}, {case.workload.title}")
    axes.set_xlabel("replica-seconds over the bound")
    axes.set_ylabel("late tasks, %")


def draw_replicas(axes: Axes, case: Case) -> None:
    """Replicas over time with the first seed; ours and the best peer."""
    minutes = case.workload.horizon_seconds / 60
    for outcome in (case.best_peer, case.ours):
        times = [0.0, *(when / 60 for when, _ in outcome.replicas), minutes]
        counts = [0, *(count for _, count in outcome.replicas)]
        label = "celery_exporter" if outcome is case.ours else "best peer"
        axes.stairs(counts, times, label=label)
    axes.set_title(f"{case.workload.name}, {case.workload.title}")
    axes.set_xlabel("minutes")
    axes.set_ylabel("replicas")
