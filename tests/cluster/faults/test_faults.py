"""The short form of `make test-faults`: ten faults that one node can have."""

from collections.abc import Iterator

import pytest

from ci.demo import install
from ci.paths import ROOT
from tests.cluster.conftest import INSTALLED, target
from tests.cluster.leaks import leaks
from tests.cluster.shop import Shop
from tests.faults.campaign import Order, fight
from tests.faults.story import tell_of
from tests.faults.strikes import SHORT, nothing

VALUES = (ROOT / "values" / "dev.yaml", ROOT / "tests" / "faults" / "values.yaml")
ORDER = Order(seed=1, tasks=5000, faults=len(SHORT), poison=5, rate=15, longest_seconds=30)


@pytest.fixture(scope="module")
def struck(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The shop on a broker of three nodes; removed at the end."""
    shop = Shop(target("celery-test-faults", *VALUES))
    request.config.stash[INSTALLED] = shop
    shop.remove()
    install(shop.target)
    yield shop
    shop.remove(wait=False)


def test_every_accepted_task_is_done_once_whatever_breaks(struck: Shop) -> None:
    outcome = fight(struck, ORDER, SHORT)
    print(outcome.figures())  # what pytest shows where it fails, with -s always
    assert not outcome.shortcomings, tell_of(struck, outcome)
    poison = [line for line in outcome.lines if line.sent_at and line.poison]
    assert sum(outcome.verdict.dead.values()) == len(poison)
    assert outcome.verdict.retried
    struck_by = {strike.name for strike in outcome.strikes}
    assert struck_by == {fault.__name__ for fault in (nothing, *SHORT)}
    # Connections that fail are what logs speak of most.
    assert leaks(struck) == []
