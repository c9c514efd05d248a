"""What a run under fire sends: tasks for every queue, most of them short, and some that kill.

A few are due later, a few give up at first and come back, and a few are what a chord leads to.

No Celery and no database: the same seed makes the same tasks.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

#: How long tasks take, in seconds: so many in a hundred between these two, evenly by the logarithm.
LENGTHS = ((90, 0.01, 0.3), (9, 0.3, 5.0), (1, 5.0, 120.0))
#: The prefork group has two slots a pod: it gets less, and nothing that fills it for minutes.
SHARES: Mapping[str, int] = MappingProxyType(
    {"default": 40, "email": 25, "high_priority": 25, "thumbnails": 10}
)
LONGEST_SECONDS: Mapping[str, float] = MappingProxyType({"thumbnails": 5.0})
#: How many in a hundred are not to begin at once, and within how many seconds they are due.
LATER, LATER_SECONDS = 2, (1.0, 20.0)
#: How many in a hundred give up once or twice.
RETRIED, MOST_RETRIES = 2, 2
#: How many in a hundred wait for so many others, wherever those are done.
CHORDS, PARTS = 1, 3
#: Where a task that kills its process takes no other with it: each has a process of its own there.
POISONED = "thumbnails"


@dataclass(frozen=True)
class Wish:
    """One task that is to be sent."""

    queue: str
    seconds: float
    #: Whether it kills its process, each time that it is tried.
    poison: bool = False
    #: In how many seconds it may begin.
    countdown: float = 0
    #: How many of its attempts give up.
    retries: int = 0
    #: What has to be done before: it is the body of a chord then.
    parts: tuple["Wish", ...] = ()


def wishes(seed: int, count: int, *, poison: int, longest_seconds: float) -> Iterator[Wish]:
    """Make `count` of them, parts of chords not counted, of which `poison` kill."""
    chance = random.Random(seed)  # noqa: S311 # nothing is secret
    poisoned = frozenset(chance.sample(range(count), poison))
    for number in range(count):
        if number in poisoned:
            yield Wish(POISONED, 0, poison=True)
        elif chance.random() * 100 < CHORDS:
            parts = tuple(_wish(chance, longest_seconds) for _ in range(PARTS))
            yield replace(_wish(chance, longest_seconds), parts=parts)
        else:
            wish = _wish(chance, longest_seconds)
            later = chance.random() * 100 < LATER
            yield replace(wish, countdown=chance.uniform(*LATER_SECONDS)) if later else wish


def _wish(chance: random.Random, longest_seconds: float) -> Wish:
    (queue,) = chance.choices(list(SHARES), list(SHARES.values()))
    longest = min(longest_seconds, LONGEST_SECONDS.get(queue, math.inf))
    again = chance.random() * 100 < RETRIED
    return Wish(
        queue,
        min(_seconds(chance), longest),
        retries=chance.randint(1, MOST_RETRIES) if again else 0,
    )


def _seconds(chance: random.Random) -> float:
    ((_, least, most),) = chance.choices(LENGTHS, [share for share, _, _ in LENGTHS])
    return math.exp(chance.uniform(math.log(least), math.log(most)))
