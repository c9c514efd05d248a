"""How long `helm template` takes for each environment: `make bench-rendering`."""

import statistics
import subprocess
import time
from pathlib import Path

from rich.console import Console

from ci.paths import ROOT
from tests.benchmarks.exporter import markdown
from tests.benchmarks.probes import machine

RESULTS = Path(__file__).with_name("rendering.txt")
ENVIRONMENTS = ("dev", "staging", "production")
TIMES = 15


def main() -> None:
    """Measure, print and keep."""
    console = Console(width=100, record=True, color_system=None)
    table = markdown("values", "median", "longest", "objects", "lines")
    for name in ENVIRONMENTS:
        command = ["helm", "template", "jobs", str(ROOT / "charts" / "celery")]
        command += ["--values", str(ROOT / "values" / f"{name}.yaml")]
        seconds, rendered = [], ""
        for _ in range(TIMES):
            began = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds.append(time.perf_counter() - began)
            rendered = done.stdout
        table.add_row(
            f"{name}.yaml",
            f"{1000 * statistics.median(seconds):.0f} ms",
            f"{1000 * max(seconds):.0f} ms",
            str(sum(line.startswith("kind:") for line in rendered.splitlines())),
            f"{rendered.count(chr(10)):,}",
        )
    console.print(machine())
    console.print(table)
    lines = (line.rstrip() for line in console.export_text().splitlines())
    RESULTS.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
