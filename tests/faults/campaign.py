"""One run under fire: traffic, faults, the time to settle, and the account of all of it."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from ci.steps import Problem
from tests.cluster.inside import AnswerLost
from tests.cluster.shop import Shop
from tests.faults.held import bring
from tests.faults.strikes import Fault, Field, plan
from tests.faults.verdict import Line, Strike, Verdict, judge, silence_seconds
from tests.faults.whereabouts import dead_letters, waiting

LINES = """
SELECT t.task_id, t.queue, t.sent_at, t.finished_at, t.starts,
       count(h.key), coalesce(sum(h.duplicates), 0)
FROM shop_taskrun t LEFT JOIN shop_hold h ON h.key = t.task_id
WHERE t.run = '{run}' GROUP BY t.task_id
"""
UNDONE = """
SELECT t.task_id FROM shop_taskrun t LEFT JOIN shop_hold h ON h.key = t.task_id
WHERE t.run = '{run}' AND t.sent_at IS NOT NULL AND h.key IS NULL
"""
#: Whether each queue has finished a task that was sent since.
FLOWS = """
SELECT count(DISTINCT queue) FILTER (WHERE sent_at > '{since}' AND finished_at IS NOT NULL)
     = count(DISTINCT queue)
FROM shop_taskrun WHERE run = '{run}' AND sent_at IS NOT NULL
"""
LOOK_SECONDS = 5
#: What does not flow by then is seen by the length of its silence.
HEAL_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a run consists of; the same one does the same things, as far as chance goes."""

    seed: int
    tasks: int
    faults: int
    poison: int
    rate: float
    longest_seconds: float

    @property
    def run(self) -> str:
        """Its name in the ledger."""
        return f"fire-{self.seed}-{self.tasks}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    order: Order
    verdict: Verdict
    strikes: list[Strike]
    lines: list[Line]
    #: Dead letters that came by the runbook alone, by queue.
    held: Mapping[str, int]
    #: How many tasks were accepted, as the producer says; None where its last word was lost.
    told: int | None
    #: When there was nothing more to send.
    sent_at: datetime
    seconds: float

    @property
    def missed(self) -> list[Strike]:
        """The faults that could not be struck."""
        return [strike for strike in self.strikes if strike.error]

    def figures(self) -> dict[str, Any]:
        """What is worth keeping of it, as one JSON object."""
        silences: dict[str, list[float]] = {}
        ends = [*(strike.at for strike in self.strikes[1:]), self.sent_at]
        for strike, until in zip(self.strikes, ends, strict=True):
            # Nothing is to be heard of the faults that strike when all is sent.
            if not strike.error and strike.at < min(until, self.sent_at):
                seconds = silence_seconds(strike.at, min(until, self.sent_at), self.lines)
                silences.setdefault(strike.name, []).append(seconds)
        return {
            **asdict(self.order),
            **asdict(self.verdict),
            "told": self.told,
            "held": self.held,
            "struck": len(self.strikes) - len(self.missed),
            "missed": [f"{strike.name}: {strike.error}" for strike in self.missed],
            "seconds": round(self.seconds),
            "silence": {name: _summary(each) for name, each in sorted(silences.items())},
        }


def fight(
    shop: Shop, order: Order, faults: Sequence[Fault], *, tell: Callable[[str], None] = print
) -> Outcome:
    """Send, strike, wait until nothing moves any more, and judge."""
    began = time.monotonic()
    traffic = Traffic(shop, order)
    traffic.start()
    field = Field(shop, random.Random(order.seed))  # noqa: S311 # nothing is secret
    struck = []
    for fault in _paced(order, faults):
        struck.append(_strike(field, fault, tell))
        _heal(shop, traffic)
    traffic.join()
    assert not traffic.error, f"the producer ended with an error: {traffic.error}"
    _settle(shop, order)
    held = bring(field)
    lines = ledger(shop, order.run)
    return Outcome(
        order=order,
        verdict=judge(lines, dead_letters(shop), waiting(shop)),
        strikes=struck,
        lines=lines,
        held=held,
        told=traffic.accepted,
        sent_at=traffic.ended_at,
        seconds=time.monotonic() - began,
    )


class Traffic(threading.Thread):
    """The producer, in the shop's own pod."""

    def __init__(self, shop: Shop, order: Order) -> None:
        super().__init__(name="traffic", daemon=True)
        self._shop, self.order = shop, order
        self.accepted: int | None = None
        self.error: Exception | None = None
        self.ended_at = datetime.now(UTC)

    def run(self) -> None:
        """Send all that is ordered."""
        order = self.order
        options = {
            "run": order.run,
            "seed": order.seed,
            "count": order.tasks,
            "poison": order.poison,
            "rate": order.rate,
            "longest": order.longest_seconds,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        try:
            with suppress(AnswerLost):
                said = self._shop.exec("deploy/shop-web", "django-admin", "run_traffic", *words)
                self.accepted = json.loads(said.splitlines()[-1])["accepted"]
        except Exception as error:  # told by whoever waits for it
            self.error = error
        self.ended_at = datetime.now(UTC)


def ledger(shop: Shop, run: str) -> list[Line]:
    """What the ledger has of a run."""
    return [
        Line(
            task_id=task_id,
            queue=queue,
            sent_at=_time(sent),
            finished_at=_time(finished),
            starts=int(starts),
            effects=int(effects),
            repeated=int(repeated),
        )
        for task_id, queue, sent, finished, starts, effects, repeated in shop.sql(
            LINES.format(run=run)
        )
    ]


def _paced(order: Order, faults: Sequence[Fault]) -> Iterator[Fault]:
    """At even distances over the time of the traffic, later where a fault takes longer."""
    began = time.monotonic()
    every = order.tasks / order.rate / (order.faults + 1)
    for number, fault in enumerate(plan(order.seed, order.faults, faults), start=1):
        time.sleep(max(0.0, began + number * every - time.monotonic()))
        yield fault


def _strike(field: Field, fault: Fault, tell: Callable[[str], None]) -> Strike:
    at, error = datetime.now(UTC), ""
    tell(f"{at:%H:%M:%S} {fault.__name__}")
    try:
        fault(field)
    except Exception as missed:  # one of hundreds does not end a run of hours
        error = repr(missed)
        tell(error)
    return Strike(fault.__name__, at, datetime.now(UTC), error)


def _heal(shop: Shop, traffic: Traffic) -> None:
    """Wait until work flows again: the next fault is not to hide how long this one was felt."""
    struck, deadline = datetime.now(UTC), time.monotonic() + HEAL_SECONDS
    question = FLOWS.format(run=traffic.order.run, since=struck.isoformat())
    while traffic.is_alive() and time.monotonic() < deadline and shop.sql(question) != [["True"]]:
        time.sleep(1)


def _settle(shop: Shop, order: Order) -> None:
    """Wait until what was accepted is done, but for what kills: twice the longest task's time."""
    deadline = time.monotonic() + 2 * max(order.longest_seconds, 60)
    while time.monotonic() < deadline:
        undone = {task_id for (task_id,) in shop.sql(UNDONE.format(run=order.run))}
        # Whoever is asked for dead letters may just be starting.
        with suppress(Problem):
            if len(undone) <= order.poison and undone <= dead_letters(shop).keys():
                return
        time.sleep(LOOK_SECONDS)


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        "times": len(seconds),
        "median_seconds": round(median(seconds), 1),
        "max_seconds": round(max(seconds), 1),
    }
