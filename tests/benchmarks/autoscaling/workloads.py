"""The seven workloads: when tasks arrive, how long they run, what wait is promised.

Rates are never scaled by stretching time, which would make bursts tame. Every workload is a
function of a seed alone.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Tasks on one queue, in the order of their arrival, and the promise made for them."""

    name: str
    title: str
    arrivals_seconds: list[float]
    service_seconds: list[float]
    promised_wait_seconds: float
    #: This share of the tasks has to start within the promised wait.
    promised_share: float
    max_task_seconds: float
    #: When the bill is closed: long enough after the last arrival that all may be scaled in.
    horizon_seconds: float
    #: While this lasts nothing can read the broker, and no metric is served.
    blind_seconds: tuple[float, float] = (0.0, 0.0)


def lognormal(rng: random.Random, *, mean: float, variation: float) -> Callable[[], float]:
    """Durations with this mean and this coefficient of variation."""
    variance = math.log(1 + variation**2)
    location = math.log(mean) - variance / 2
    return lambda: rng.lognormvariate(location, math.sqrt(variance))


def poisson(
    rng: random.Random, *, rate: Callable[[float], float], highest: float, until: float
) -> Iterator[float]:
    """Arrivals at a rate that changes over time, by thinning those of the highest rate."""
    now = rng.expovariate(highest)
    while now < until:
        if rng.random() * highest <= rate(now):
            yield now
        now += rng.expovariate(highest)


def switching(rng: random.Random, *, until: float) -> Iterator[float]:
    """A Poisson process that is switched between quiet and bursts at random (an MMPP).

    Its mean of 2.57/s, and its indices of dispersion of 17, 99 and 156 over 1, 10 and 60 seconds,
    are near those of the code trace of AzurePublicDataset (13, 71 and 161), which is a file of its
    own to replay.
    """
    quiet, burst = (0.9, 82.0), (30.0, 5.0)
    now, (rate, mean_seconds) = 0.0, quiet
    while now < until:
        end = min(now + rng.expovariate(1 / mean_seconds), until)
        while (now := now + rng.expovariate(rate)) < end:
            yield now
        now = end
        rate, mean_seconds = burst if rate == quiet[0] else quiet


def zero_burst(seed: int) -> Workload:
    """After ten minutes of nothing, 2,000 tasks at once."""
    service = lognormal(random.Random(seed), mean=0.5, variation=1)
    return Workload(
        name="Z",
        title="burst from zero",
        arrivals_seconds=[10 * MINUTE] * 2000,
        service_seconds=[service() for _ in range(2000)],
        promised_wait_seconds=30,
        promised_share=0.95,
        max_task_seconds=60,
        horizon_seconds=30 * MINUTE,
    )


def bursts(seed: int) -> Workload:
    """An hour of short bursts over little."""
    rng = random.Random(seed)
    arrivals = list(switching(rng, until=HOUR))
    service = lognormal(rng, mean=1, variation=2)
    return Workload(
        name="B",
        title="bursts",
        arrivals_seconds=arrivals,
        service_seconds=[min(service(), MINUTE) for _ in arrivals],
        promised_wait_seconds=10,
        promised_share=0.95,
        max_task_seconds=60,
        horizon_seconds=HOUR + 10 * MINUTE,
    )


def diurnal(seed: int) -> Workload:
    """A day whose busiest hour has 4.3 times the load of the quietest."""
    rng = random.Random(seed)
    mean, swing = 6.0, (4.3 - 1) / (4.3 + 1)

    def rate(now: float) -> float:
        return mean * (1 - swing * math.cos(2 * math.pi * now / (24 * HOUR)))

    arrivals = list(poisson(rng, rate=rate, highest=mean * (1 + swing), until=24 * HOUR))
    service = lognormal(rng, mean=2, variation=1)
    return Workload(
        name="D",
        title="a day",
        arrivals_seconds=arrivals,
        service_seconds=[min(service(), MINUTE) for _ in arrivals],
        promised_wait_seconds=30,
        promised_share=0.99,
        max_task_seconds=60,
        horizon_seconds=24 * HOUR + 10 * MINUTE,
    )


def long_tail(seed: int) -> Workload:
    """Of twenty tasks nineteen take a second and one takes twenty minutes."""
    rng = random.Random(seed)
    arrivals = list(poisson(rng, rate=lambda _: 0.5, highest=0.5, until=3 * HOUR))
    return Workload(
        name="L",
        title="long tail",
        arrivals_seconds=arrivals,
        service_seconds=[20 * MINUTE if rng.random() < 0.05 else 1.0 for _ in arrivals],
        promised_wait_seconds=60,
        promised_share=0.95,
        max_task_seconds=30 * MINUTE,
        horizon_seconds=4 * HOUR,
    )


def sparse(seed: int) -> Workload:
    """One task of half a minute about every ten minutes."""
    rng = random.Random(seed)
    arrivals = [(at + rng.uniform(-1, 1)) * MINUTE for at in range(10, 12 * 60, 10)]
    return Workload(
        name="S",
        title="sparse",
        arrivals_seconds=arrivals,
        service_seconds=[30.0] * len(arrivals),
        promised_wait_seconds=15,
        promised_share=0.99,
        max_task_seconds=60,
        horizon_seconds=12 * HOUR,
    )


def kill_trap(seed: int) -> Workload:
    """A burst with one task of two hours in it, then nothing."""
    rng = random.Random(seed)
    service = lognormal(rng, mean=5, variation=0.5)
    durations = [service() for _ in range(600)]
    durations[rng.randrange(200, 400)] = 2 * HOUR
    return Workload(
        name="K",
        title="kill trap",
        arrivals_seconds=sorted(rng.uniform(MINUTE, 2 * MINUTE) for _ in durations),
        service_seconds=durations,
        promised_wait_seconds=30,
        promised_share=0.95,
        max_task_seconds=3 * HOUR,
        horizon_seconds=3 * HOUR,
    )


def fault(seed: int) -> Workload:
    """The bursts, and five minutes without any metric in the middle."""
    return replace(
        bursts(seed),
        name="F",
        title="bursts, metrics lost",
        blind_seconds=(HOUR / 2, HOUR / 2 + 300),
    )


WORKLOADS = (zero_burst, bursts, diurnal, long_tail, sparse, kill_trap, fault)
