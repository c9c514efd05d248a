"""`make test-faults`: the long form. Prints the figures as JSON, and why where a promise broke."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ci import cluster, images
from ci.demo import install
from ci.images import Image
from ci.paths import ROOT
from tests.cluster.conftest import target
from tests.cluster.shop import Shop
from tests.faults.campaign import Order, fight
from tests.faults.story import tell_of
from tests.faults.strikes import ALL

VALUES = (ROOT / "values" / "dev.yaml", Path(__file__).with_name("values.yaml"))
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
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as canary:
        canary.write(json.dumps(_with_a_clock()))
        canary.flush()
        shop = Shop(target(NAMESPACE, *VALUES, Path(canary.name), autoscaling="keda"))
        shop.remove()
        # A run that was killed as it drained a machine has left it so.
        shop.kubectl("uncordon", "--selector=kubernetes.io/os=linux")
        install(shop.target)
        outcome = fight(shop, order, ALL)
    sys.stdout.write(json.dumps(outcome.figures(), indent=2) + "\n")
    if outcome.shortcomings:
        sys.stdout.write(tell_of(shop, outcome))
        return 1
    shop.remove()
    return 0


def _with_a_clock() -> dict[str, Any]:
    """One more pod, whose clock can be set."""
    found = cluster.current()
    image = images.build_clock(found.engine, Image(*os.environ["DEMO_IMAGE"].rsplit(":", 1)))
    found.load(str(image))
    canary = {"image": {"repository": image.repository, "tag": image.tag}, "replicas": 1}
    return {"workers": {"io": {"canary": canary}}}


if __name__ == "__main__":
    raise SystemExit(main())
