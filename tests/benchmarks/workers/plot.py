"""The figures of workers, as bars."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tests.benchmarks.workers.__main__ import Figures

SHOWN = {
    "tasks_per_second": "tasks a second",
    "cpu_ms": "ms of CPU a task",
    "busy_mib": "MiB when busy",
}


def draw(file: Path, medians: Mapping[tuple[str, str], Mapping[str, "Figures"]]) -> None:
    """One panel for each figure; a group of bars for each broker and pool."""
    picture = Figure(figsize=(12, 3.6), dpi=80, layout="constrained")
    panels = picture.subplots(1, len(SHOWN))
    names = list(next(iter(medians.values())))
    width = 0.8 / len(names)
    for panel, (figure, title) in zip(panels, SHOWN.items(), strict=True):
        for place, name in enumerate(names):
            heights = [getattr(each[name], figure) for each in medians.values()]
            panel.bar([n + place * width for n in range(len(heights))], heights, width, label=name)
        ticks = [n + 0.4 - width / 2 for n in range(len(medians))]
        panel.set_xticks(ticks, [f"{broker}\n{pool}" for broker, pool in medians], fontsize=8)
        panel.set_title(title, fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=8, frameon=False)
    picture.savefig(file)
