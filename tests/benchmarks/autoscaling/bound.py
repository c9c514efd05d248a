"""The clairvoyant lower bound: replica-seconds that no scaler can go below.

It is for one that knows every arrival and duration beforehand, pays the same start and stop of a
pod, and starts every task within the promised wait. (One that uses the share of tasks that a
promise lets be late may go below; so may one that breaks it.) It is a bound, not a schedule: each
term is something that such a scaler cannot avoid, and what it may avoid is left out. So a ratio
to it overstates what there is to gain, most where tasks are few and short.

- Tasks fall into islands: groups whose time from first arrival to latest possible end overlap
  with no other's. The costs of islands add up.
- An island takes at least its work over the slots of a pod; at least its longest task; and at
  least as many whole pods at each instant as the tasks need that run then whenever they started
  within the promise (a task longer than the wait has such a middle).
- An island needs at least so many pods at once as start what arrives in some window before the
  last of its deadlines: n slots start no more than fits into n times the window, beside one last
  task each. Each of these pods is started and stopped, or kept from the island before.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from tests.benchmarks.autoscaling.cluster import POD_STOP_SECONDS
from tests.benchmarks.autoscaling.workloads import Workload

#: Windows of arrivals in which the most pods are looked for.
WINDOWS_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0)


@dataclass(frozen=True)
class Task:
    """One task: when it comes, and how long it runs."""

    arrival: float
    service: float


def lower_bound(workload: Workload, *, slots: int, start_seconds: float) -> float:
    """Replica-seconds of the workload at the least."""
    wait = workload.promised_wait_seconds
    total, last_end = 0.0, -math.inf
    for island in islands(workload):
        gap = island[0].arrival - last_end
        pods = most_pods(island, slots=slots, wait=wait)
        total += busy_seconds(island, slots=slots, wait=wait)
        total += pods * min(gap, start_seconds + POD_STOP_SECONDS)
        last_end = max(task.arrival + wait + task.service for task in island)
    return total


def islands(workload: Workload) -> Iterator[list[Task]]:
    """Groups of tasks that can have nothing to do with each other."""
    island: list[Task] = []
    end = -math.inf
    for task in map(Task, workload.arrivals_seconds, workload.service_seconds):
        if island and task.arrival > end:
            yield island
            island = []
        island.append(task)
        end = max(end, task.arrival + workload.promised_wait_seconds + task.service)
    if island:
        yield island


def busy_seconds(island: Sequence[Task], *, slots: int, wait: float) -> float:
    """Pod-seconds at which something runs, at the least."""
    work = sum(task.service for task in island) / slots
    longest = max(task.service for task in island)
    return max(work, longest, sure_seconds(island, slots=slots, wait=wait))


def sure_seconds(island: Sequence[Task], *, slots: int, wait: float) -> float:
    """Pod-seconds of whole pods for what runs at an instant however it was scheduled."""
    edges = sorted(
        edge
        for task in island
        if task.service > wait
        for edge in ((task.arrival + wait, 1), (task.arrival + task.service, -1))
    )
    levels = accumulate(change for _, change in edges)
    times = [when for when, _ in edges]
    spans = zip(times, times[1:], levels, strict=False)
    return sum(math.ceil(level / slots) * (end - start) for start, end, level in spans)


def most_pods(island: Sequence[Task], *, slots: int, wait: float) -> int:
    """Pods that have to be there at once, at the least."""
    most = 1
    for window in WINDOWS_SECONDS:
        for chosen in windows(island, window):
            span = chosen[-1].arrival - chosen[0].arrival + wait
            most = max(most, least_slots([task.service for task in chosen], span))
    return math.ceil(most / slots)


def windows(island: Sequence[Task], seconds: float) -> Iterator[list[Task]]:
    """The tasks of each such stretch of the clock."""
    for _, tasks in groupby(island, key=lambda task: task.arrival // seconds):
        yield list(tasks)


def least_slots(services: list[float], span_seconds: float) -> int:
    """The fewest slots that can start all of these within a span."""
    longest_first = sorted(services, reverse=True)
    top = list(accumulate(longest_first))
    low, high = 1, len(services)
    while low < high:
        middle = (low + high) // 2
        if top[-1] - top[middle - 1] <= middle * span_seconds:
            high = middle
        else:
            low = middle + 1
    return low
