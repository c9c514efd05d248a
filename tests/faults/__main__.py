"""`make test-faults`: the long form. Prints the figures as JSON, and why where a promise broke."""

import argparse
import json
import sys
from pathlib import Path

from ci.demo import install
from ci.paths import ROOT
from tests.cluster.conftest import target
from tests.cluster.shop import Shop
from tests.faults.campaign import Order, fight
from tests.faults.story import tell_of
from tests.faults.strikes import FAULTS, kill_keda

VALUES = (ROOT / "values" / "dev.yaml", Path(__file__).parent / "values.yaml")
NAMESPACE = "celery-test-faults"


def main() -> int:
    """Install, fight, tell."""
    parser = argparse.ArgumentParser(prog="make test-faults", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20, help="tasks a second")
    given = parser.parse_args()
    order = Order(
        seed=given.seed,
        tasks=given.tasks,
        faults=given.faults,
        poison=given.tasks // 1000,
        rate=given.rate,
        longest_seconds=120,
    )
    shop = Shop(target(NAMESPACE, *VALUES, autoscaling="keda"))
    shop.remove()
    install(shop.target)
    outcome = fight(shop, order, [*FAULTS, kill_keda])
    sys.stdout.write(json.dumps(outcome.figures(), indent=2) + "\n")
    if not outcome.verdict.kept:
        sys.stdout.write(tell_of(shop, outcome))
        return 1
    shop.remove()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
