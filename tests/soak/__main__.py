"""`make test-soak MINUTES=120`: steady work, and whether anything grows meanwhile."""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ci.demo import install
from ci.paths import ROOT
from tests.benchmarks.exporter import markdown
from tests.cluster.conftest import target
from tests.cluster.shop import Shop, repeating
from tests.faults.campaign import Order, fight
from tests.soak.samples import Sample, look
from tests.soak.trend import Trend, trend

VALUES = (ROOT / "values" / "dev.yaml", Path(__file__).with_name("values.yaml"))
NAMESPACE = "celery-test-soak"
LONGEST_TASK_SECONDS = 5
EVERY_SECONDS = 30
#: Caches fill and pools grow at first: a part of the time that is not judged.
WARM_UP = 0.2
#: By how much a figure may grow over the whole time: a share of it, or so much.
SHARE = 0.05
LEAST = {"mib": 4, "files": 3, "sockets": 3}
#: The ledger has a row more for each task, and its server more of them in memory.
NOT_JUDGED = "shop-postgres-0"
TITLES = ("pod", "MiB", "MiB/h", "files", "files/h", "connections", "connections/h", "zombies")

Samples = Sequence[tuple[float, Mapping[str, Sample]]]


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
    grown = report(console, samples)
    if grown or verdict.broken:
        console.print(f"These grow: {', '.join(grown)}" if grown else "Not every task was kept")
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


def report(console: Console, samples: Samples) -> list[str]:
    """Print a line for each pod; return what grows."""
    judged = [each for each in samples if each[0] >= WARM_UP * samples[-1][0]]
    pods = sorted(set.intersection(*(set(seen) for _, seen in judged)))
    table, grown = markdown(*TITLES), []
    for pod in pods:
        trends = {name: _trend(judged, pod, name) for name in LEAST}
        zombies = max(seen[pod].zombies for _, seen in judged)
        grown += [
            f"{pod}: {name} by {each.growth:.1f}"
            for name, each in trends.items()
            if pod != NOT_JUDGED and not each.flat(share=SHARE, least=LEAST[name])
        ]
        # One that has just ended and not been waited for yet is nothing.
        if all(seen[pod].zombies for _, seen in judged):
            grown.append(f"{pod}: zombies stay")
        figures = [f"{figure:.1f}" for e in trends.values() for figure in (e.mean, e.per_hour)]
        table.add_row(pod, *figures, str(zombies))
    console.print(table)
    return grown


def _trend(samples: Samples, pod: str, name: str) -> Trend:
    minutes = [minute for minute, _ in samples]
    return trend(minutes, [float(getattr(seen[pod], name)) for _, seen in samples])


if __name__ == "__main__":
    sys.exit(main())
