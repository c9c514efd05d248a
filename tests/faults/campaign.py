"""One run under fire: traffic, faults, the time to settle, and the account of all of it."""

import itertools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from ci.steps import Problem
from tests.cluster.shop import Shop, repeating
from tests.faults.held import Held, bring, held, stuck
from tests.faults.logs import Logs
from tests.faults.strikes import Fault, Field, nothing, plan
from tests.faults.verdict import Line, Strike, Verdict, judge, silence_seconds
from tests.faults.whereabouts import dead_letters, waiting

#: Effects are found by who left them, not by the key that is to keep a second one out.
LINES = """
SELECT t.task_id, t.queue, t.name, t.sent_at, t.finished_at, t.starts, t.retries,
       count(h.id), coalesce(sum(h.duplicates), 0)
FROM shop_taskrun t LEFT JOIN shop_hold h ON h.task_id = t.task_id
WHERE starts_with(t.run, '{run}.') GROUP BY t.task_id
"""
UNDONE = """
SELECT t.task_id FROM shop_taskrun t LEFT JOIN shop_hold h ON h.task_id = t.task_id
WHERE starts_with(t.run, '{run}.') AND t.sent_at IS NOT NULL AND h.id IS NULL
"""
TICKS = "SELECT scheduled_at FROM shop_tick WHERE scheduled_at BETWEEN '{}' AND '{}' ORDER BY 1"
#: Whether each queue has finished a task that was sent since.
FLOWS = """
SELECT count(DISTINCT queue) FILTER (WHERE sent_at > '{since}' AND finished_at IS NOT NULL)
     = count(DISTINCT queue)
FROM shop_taskrun WHERE starts_with(run, '{run}.') AND sent_at IS NOT NULL
"""
POISON = "shop.tasks.crash"
#: What faults that came at once are called.
TWO = "two at once"
LOOK_SECONDS = 5
#: What does not flow by then is seen by the length of its silence.
HEAL_SECONDS = 120
#: Times the time to settle, where what is brought gets as long again.
MOST_SETTLING = 3
#: Where faults take longer than the tasks last that are ordered, more are sent in parts of this.
PART_SECONDS = 45
BURST_TASKS, BURST_RATE = 400, 200.0
KEEP_EVERY_SECONDS = 10
#: Each part of the traffic has a seed of its own.
MOST_PARTS = 10_000
#: The others were sent while an alarm was up, or the broker away: their producer was told so.
LEAST_ACCEPTED = 0.75
#: From then on the chart's alarm calls beat silent (`beatSilentSeconds`).
MOST_BEAT_SILENCE_SECONDS = 120
#: A task may happen to be with one worker after the other that is killed.
MOST_DEAD_BY_CHANCE = 0.001


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
        """What its parts' names in the ledger begin with, before a dot."""
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
    #: When beat sent meanwhile.
    ticks: Sequence[datetime]
    #: Why the producer gave up, if it did.
    error: str
    logs: Logs
    #: When there was nothing more to send.
    sent_at: datetime
    seconds: float

    @property
    def missed(self) -> list[Strike]:
        """The faults that could not be struck."""
        return [strike for strike in self.strikes if strike.error]

    @property
    def struck(self) -> int:
        """How many faults there were."""
        return sum(each.name != nothing.__name__ for each in self.strikes) - len(self.missed)

    @property
    def beat_silence_seconds(self) -> float:
        """For how long beat has sent nothing at the longest, until there was nothing to send."""
        silences = (later - earlier for earlier, later in pairwise([*self.ticks, self.sent_at]))
        return max(each.total_seconds() for each in silences) if self.ticks else math.inf

    @property
    def shortcomings(self) -> list[str]:
        """What the run cannot be called survived for, a sentence each."""
        verdict, sent = self.verdict, max(self.order.tasks, len(self.lines))
        by_chance, struck = len(verdict.dead_by_chance), self.struck
        found = {
            f"{len(verdict.lost)} tasks are lost": verdict.lost,
            f"{len(verdict.doubled)} tasks were done twice": verdict.doubled,
            f"{len(verdict.stuck)} tasks are stuck": verdict.stuck,
            f"{len(self.missed)} faults could not be struck": self.missed,
            f"only {struck} of {self.order.faults} faults were struck": (
                struck + len(self.missed) < self.order.faults
            ),
            f"the producer gave up: {self.error}": self.error,
            f"beat was silent for {self.beat_silence_seconds:.0f} s": (
                self.beat_silence_seconds > MOST_BEAT_SILENCE_SECONDS
            ),
            f"only {verdict.accepted} of {sent} tasks were accepted": (
                verdict.accepted < LEAST_ACCEPTED * sent
            ),
            f"{by_chance} tasks died that do not kill": (
                by_chance > MOST_DEAD_BY_CHANCE * verdict.accepted
            ),
        }
        return [sentence for sentence, holds in found.items() if holds]

    def figures(self) -> dict[str, Any]:
        """What is worth keeping of it, as one JSON object."""
        silences: dict[str, list[float]] = {}
        at_once = [[*strikes] for _, strikes in groupby(self.strikes, key=lambda each: each.at)]
        ends = [*(strikes[0].at for strikes in at_once[1:]), self.sent_at]
        for strikes, until in zip(at_once, ends, strict=True):
            at, until = strikes[0].at, min(until, self.sent_at)
            # Nothing is to be heard of the faults that strike when all is sent.
            if not any(strike.error for strike in strikes) and at < until:
                name = strikes[0].name if len(strikes) == 1 else TWO
                silences.setdefault(name, []).append(silence_seconds(at, until, self.lines))
        return {
            **asdict(self.order),
            **asdict(self.verdict),
            "held": self.held,
            "struck": self.struck,
            "missed": [f"{strike.name}: {strike.error}" for strike in self.missed],
            "seconds": round(self.seconds),
            "beat": {"ticks": len(self.ticks), **_apart(self.ticks)},
            "silence": {name: _summary(each) for name, each in sorted(silences.items())},
        }


def fight(
    shop: Shop, order: Order, faults: Sequence[Fault], *, tell: Callable[[str], None] = print
) -> Outcome:
    """Send, strike for as long as is sent, wait until nothing moves any more, and judge."""
    began, began_at = time.monotonic(), datetime.now(UTC)
    traffic = Traffic(shop, order)
    traffic.start()
    chance = random.Random(order.seed)  # noqa: S311 # nothing is secret
    field = Field(shop, chance, traffic.burst)
    logs = Logs(field.nodes(), shop.target.namespace)
    struck: list[Strike] = []
    with repeating(logs.keep, every_seconds=KEEP_EVERY_SECONDS):
        for together in _paced(order, faults):
            struck.extend(_strike(field, together, tell))
            _heal(shop, traffic)
            if not traffic.is_alive():
                break
        traffic.end()
        brought = _settle(field, order)
    lines = ledger(shop, order.run)
    ticks = shop.sql(TICKS.format(began_at.isoformat(), traffic.ended_at.isoformat()))
    return Outcome(
        order=order,
        verdict=judge(lines, dead_letters(shop), waiting(shop)),
        strikes=struck,
        lines=lines,
        held=brought,
        ticks=[datetime.fromisoformat(tick) for (tick,) in ticks],
        error=repr(traffic.error) if traffic.error else "",
        logs=logs,
        sent_at=traffic.ended_at,
        seconds=time.monotonic() - began,
    )


class Traffic(threading.Thread):
    """The producer, in the shop's own pod; it enters into the ledger what was accepted."""

    def __init__(self, shop: Shop, order: Order) -> None:
        super().__init__(name="traffic", daemon=True)
        self._shop, self.order = shop, order
        self._over = threading.Event()
        self._parts = itertools.count()
        self.error: Exception | None = None
        self.ended_at = datetime.now(UTC)

    def run(self) -> None:
        """Send all that is ordered, and more of it until the end."""
        order = self.order
        try:
            self._send(order.tasks, order.poison, order.rate)
            while not self._over.is_set():
                count = int(order.rate * PART_SECONDS)
                self._send(count, count * order.poison // order.tasks, order.rate)
        except Exception as error:  # told by whoever waits for it
            self.error = error
        self.ended_at = datetime.now(UTC)

    def end(self) -> None:
        """Wait until all is sent that was ordered or begun."""
        self._over.set()
        self.join()

    def burst(self) -> None:
        """Send many tasks at once."""
        self._send(BURST_TASKS, 0, BURST_RATE)

    def _send(self, count: int, poison: int, rate: float) -> None:
        part = next(self._parts)
        options = {
            "run": f"{self.order.run}.{part}",
            "seed": self.order.seed * MOST_PARTS + part,
            "count": count,
            "poison": poison,
            "rate": rate,
            "longest": self.order.longest_seconds,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        self._shop.exec("deploy/shop-web", "django-admin", "run_traffic", *words)


def ledger(shop: Shop, run: str) -> list[Line]:
    """What the ledger has of a run."""
    return [
        Line(
            task_id=task_id,
            queue=queue,
            poison=name == POISON,
            sent_at=_time(sent),
            finished_at=_time(finished),
            starts=int(starts),
            retries=int(retries),
            effects=int(effects),
            repeated=int(repeated),
        )
        for (
            task_id,
            queue,
            name,
            sent,
            finished,
            starts,
            retries,
            effects,
            repeated,
        ) in shop.sql(LINES.format(run=run))
    ]


def _paced(order: Order, faults: Sequence[Fault]) -> Iterator[tuple[Fault, ...]]:
    """At even distances over the time of the traffic, later where a fault takes longer.

    The first is none.
    """
    began = time.monotonic()
    planned = [(nothing,), *plan(order.seed, order.faults, faults)] if faults else []
    every = order.tasks / order.rate / (len(planned) + 1)
    for number, together in enumerate(planned, start=1):
        time.sleep(max(0.0, began + number * every - time.monotonic()))
        yield together


def _strike(
    field: Field, together: Sequence[Fault], tell: Callable[[str], None]
) -> Iterator[Strike]:
    at = datetime.now(UTC)
    tell(f"{at:%H:%M:%S} {' and '.join(fault.__name__ for fault in together)}")
    # Each has a chance of its own: which of them asks first is not the seed's to decide.
    fields = [replace(field, chance=random.Random(field.chance.random())) for _ in together]  # noqa: S311

    def strike(fault: Fault, where: Field) -> Strike:
        error = ""
        try:
            fault(where)
        except Exception as missed:  # one of hundreds does not end a run of hours
            error = repr(missed)
            tell(error)
        return Strike(fault.__name__, at, datetime.now(UTC), error)

    with ThreadPoolExecutor() as pool:
        yield from pool.map(strike, together, fields)


def _heal(shop: Shop, traffic: Traffic) -> None:
    """Wait until work flows again: the next fault is not to hide how long this one was felt."""
    struck, deadline = datetime.now(UTC), time.monotonic() + HEAL_SECONDS
    question = FLOWS.format(run=traffic.order.run, since=struck.isoformat())
    while traffic.is_alive() and time.monotonic() < deadline and shop.sql(question) != [["True"]]:
        time.sleep(1)


def _settle(field: Field, order: Order) -> Mapping[str, int]:
    """Wait until all is done or dead: twice the longest task's time, two minutes at least.

    What RabbitMQ holds back is brought, and has as long again: tasks that were to be due later may
    be among it; three times as long is all there is. Returns how many messages that were, by queue.
    """
    brought = Counter[str]()
    looks: list[dict[str, Held]] = []
    seconds = 2 * max(order.longest_seconds, 60)
    deadline = time.monotonic() + seconds
    at_last = time.monotonic() + MOST_SETTLING * seconds
    while time.monotonic() < deadline and not _is_settled(field.shop, order):
        # The node that is asked may just be going.
        with suppress(Problem):
            looks.append(held(field))
        if kept := stuck(looks):
            bring(field, kept)
            brought.update({name: each.messages for name, each in kept.items()})
            looks, deadline = [], min(time.monotonic() + seconds, at_last)
        time.sleep(LOOK_SECONDS)
    return brought


def _is_settled(shop: Shop, order: Order) -> bool:
    undone = {task_id for (task_id,) in shop.sql(UNDONE.format(run=order.run))}
    # Whoever is asked for dead letters may just be starting.
    with suppress(Problem):
        return undone <= dead_letters(shop).keys()
    return False


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _apart(ticks: Sequence[datetime]) -> dict[str, float]:
    seconds = [(later - earlier).total_seconds() for earlier, later in pairwise(ticks)]
    if not seconds:
        return {}
    return {"least_seconds": round(min(seconds), 1), "most_seconds": round(max(seconds), 1)}


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        "times": len(seconds),
        "median_seconds": round(median(seconds), 1),
        "max_seconds": round(max(seconds), 1),
    }
