"""The HorizontalPodAutoscaler's rules, as in pkg/controller/podautoscaler of Kubernetes 1.34-1.36.

Replica counts come from `replica_calculator.go`, limits and windows from `horizontal.go`.
"""

import math
from dataclasses import dataclass, field

SYNC_SECONDS = 15.0
TOLERANCE = 0.1
DOWNSCALE_WINDOW_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """At most so many pods, or so many hundredths of them, more or fewer in a period."""

    value: int
    period_seconds: float
    percent: bool = False


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """`spec.behavior`, with what the API server fills in where it says nothing else."""

    up: tuple[Policy, ...] = (
        Policy(value=4, period_seconds=15),
        Policy(value=100, period_seconds=15, percent=True),
    )
    down: tuple[Policy, ...] = (Policy(value=100, period_seconds=15, percent=True),)
    up_window_seconds: float = 0.0
    down_window_seconds: float = DOWNSCALE_WINDOW_SECONDS


def within(ratio: float) -> bool:
    """Whether a metric is so near its target that nothing is changed."""
    return 1 - TOLERANCE <= ratio <= 1 + TOLERANCE


def average_value(*, total: float, target: float, replicas: int) -> int:
    """Target type AverageValue: the metric's sum over the target, within a tolerance."""
    if within(total / (target * replicas)):
        return replicas
    return math.ceil(total / target)


def value(*, metric: float, target: float, replicas: int, ready: int) -> int:
    """Target type Value: the metric over the target, times the ready pods."""
    ratio = metric / target
    return replicas if within(ratio) else math.ceil(ratio * ready)


def utilization(*, used: list[float], unready: int, target: float, replicas: int) -> int:
    """Type Resource: the mean use of the pods that have a sample; the others as 0 on scale-up."""
    if not used:
        return replicas
    ratio = sum(used) / len(used) / target
    if not (unready and ratio > 1):
        if within(ratio):
            return replicas
        return math.ceil(ratio * len(used))
    count = len(used) + unready
    with_unready = sum(used) / count / target
    if within(with_unready) or with_unready < 1:
        return replicas
    return max(math.ceil(with_unready * count), replicas)


@dataclass(kw_only=True)
class Hpa:
    """One HPA: what it remembers between two syncs. Without `behavior` the older rules hold."""

    minimum: int
    maximum: int
    behavior: Behavior | None = None
    _recommendations: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def replicas(self, *, now: float, current: int, recommended: int) -> int:
        """What is written to `spec.replicas` for what the metric recommends."""
        if not self._recommendations:
            self._recommendations.append((now, current))
        if current > self.maximum:
            wanted = self.maximum
        elif current < self.minimum:
            wanted = self.minimum
        elif self.behavior is None:
            wanted = self._by_default(now, current, recommended)
        else:
            wanted = self._by_behavior(self.behavior, now, current, recommended)
        if wanted != current:
            self._changes.append((now, wanted - current))
        return wanted

    def _by_default(self, now: float, current: int, recommended: int) -> int:
        stable = max(recommended, self._highest_since(now - DOWNSCALE_WINDOW_SECONDS))
        self._remember(now, recommended, DOWNSCALE_WINDOW_SECONDS)
        limit = min(max(2 * current, 4), self.maximum)
        return max(self.minimum, min(stable, limit))

    def _by_behavior(self, behavior: Behavior, now: float, current: int, recommended: int) -> int:
        up_since = now - behavior.up_window_seconds
        recent = [count for when, count in self._recommendations if when > up_since]
        lowest = min([recommended, *recent])
        highest = max(recommended, self._highest_since(now - behavior.down_window_seconds))
        self._remember(
            now, recommended, max(behavior.up_window_seconds, behavior.down_window_seconds)
        )
        wanted = min(max(current, lowest), highest)
        if wanted > current:
            limit = max(self._limit(rule, now, current, 1) for rule in behavior.up)
            return min(wanted, max(limit, current), self.maximum)
        if wanted < current:
            limit = min(self._limit(rule, now, current, -1) for rule in behavior.down)
            return max(wanted, min(limit, current), self.minimum)
        return wanted

    def _limit(self, rule: Policy, now: float, current: int, sign: int) -> int:
        changes = sum(change for when, change in self._changes if when > now - rule.period_seconds)
        start = current - changes
        if not rule.percent:
            return start + sign * rule.value
        scaled = start * (1 + sign * rule.value / 100)
        return math.ceil(scaled) if sign > 0 else math.floor(scaled)

    def _highest_since(self, cutoff: float) -> int:
        return max((count for when, count in self._recommendations if when > cutoff), default=0)

    def _remember(self, now: float, recommended: int, window_seconds: float) -> None:
        kept = [entry for entry in self._recommendations if entry[0] > now - window_seconds]
        self._recommendations = [*kept, (now, recommended)]
        longest = 1800.0  # the longest period that the API permits
        self._changes = [entry for entry in self._changes if entry[0] > now - longest]
