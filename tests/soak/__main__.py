"""`make test-soak MINUTES=120`: steady work, and whether anything grows meanwhile."""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ci.demo import install
from ci.paths import ROOT
from tests.benchmarks.exporter import markdown
from tests.cluster.conftest import target
from tests.cluster.shop import Shop, repeating
from tests.faults.campaign import Order, fight
from tests.soak.samples import look
from tests.soak.verdict import Sample, Samples, judge, settled, trends

VALUES = (ROOT / "values" / "dev.yaml", Path(__file__).with_name("values.yaml"))
NAMESPACE = "celery-test-soak"
LONGEST_TASK_SECONDS = 5
EVERY_SECONDS = 30
TITLES = ("pod", "MiB", "MiB/h", "files", "files/h", "connections", "connections/h", "zombies")


def main() -> int:
    """Install, work, look, judge."""
    parser = argparse.ArgumentParser(prog="make test-soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=10, help="tasks a second")
    given = parser.parse_args()
    order = Order(
        seed=1,
        tasks=int(given.rate * 60 * given.minutes),
        faults=0,
        poison=0,
        rate=given.rate,
        longest_seconds=LONGEST_TASK_SECONDS,
    )
    shop = Shop(target(NAMESPACE, *VALUES))
    shop.remove()
    install(shop.target)
    with sampling(shop) as samples:
        outcome = fight(shop, order, ())
    verdict = outcome.verdict
    console = Console(width=110)
    console.print(
        f"{given.minutes:g} minutes, {verdict.accepted:,} tasks accepted, {verdict.done:,} done, "
        f"{len(verdict.broken)} lost, doubled or stuck"
    )
    report(console, samples)
    wrong = [*judge(samples), *outcome.shortcomings]
    if wrong:
        console.print("\n".join(wrong))
        return 1
    shop.remove()
    return 0


@contextmanager
def sampling(shop: Shop) -> Iterator[list[tuple[float, Mapping[str, Sample]]]]:
    """Look at all pods from time to time, as long as it lasts; minutes and what was seen."""
    samples: list[tuple[float, Mapping[str, Sample]]] = []
    began = time.monotonic()

    def sample() -> None:
        samples.append(((time.monotonic() - began) / 60, look(shop)))

    with repeating(sample, every_seconds=EVERY_SECONDS):
        yield samples


def report(console: Console, samples: Samples) -> None:
    """Print a line for each pod that was seen all the time."""
    table = markdown(*TITLES)
    for pod, figures in trends(samples).items():
        zombies = max(len(seen[pod].zombies) for _, seen in settled(samples))
        texts = [f"{figure:.1f}" for e in figures.values() for figure in (e.mean, e.per_hour)]
        table.add_row(pod, *texts, str(zombies))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
