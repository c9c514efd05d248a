"""What is planned, where everyone looks it up: the scaler, the page, the metrics and the HPA."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from celery_exporter.groups import Group
from celery_exporter.overview import Overview
from celery_exporter.readings import Pod, Reading
from celery_exporter.scaling import overviews
from celery_exporter.scaling.history import History
from celery_exporter.scaling.inflow import OUTAGE_SECONDS
from celery_exporter.scaling.planner import Plan, Planner

#: A plan that is older is none: what makes them is stuck.
STALE_SECONDS = 60.0
Clock = Callable[[], float]

logger = logging.getLogger(__name__)


class Fleet(Protocol):
    """The pods of the release."""

    @property
    def interval_seconds(self) -> float:
        """How long to wait until the next reading."""

    def read(self) -> Sequence[Pod]:
        """Ask Kubernetes and the workers; raises when Kubernetes is away."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that is known at one moment."""

    at: float
    plans: Mapping[str, Plan] = field(default_factory=dict)
    oldest_seconds: Mapping[str, float] = field(default_factory=dict)
    arrivals_per_second: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)


class Board:
    """Takes what broker and fleet say, whichever comes, and plans at once."""

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        dead_letters: Mapping[str, str],
        outage_seconds: float = OUTAGE_SECONDS,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self.groups: Mapping[str, Group] = {group.name: group for group in groups}
        self._planner = Planner(groups, outage_seconds=outage_seconds)
        self._history = History()
        self.dead_letters = dead_letters
        self._clock, self._wall = clock, wall
        self._lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._reading = Reading()
        self._problems: dict[str, str] = {}
        self._view = View(at=clock())

    @property
    def queues(self) -> Sequence[str]:
        """The queues that groups work on."""
        return self._planner.queues

    @property
    def view(self) -> View:
        """The latest; without plans where nothing has been planned for long."""
        view = self._view
        stale = self._clock() - view.at > STALE_SECONDS
        return View(at=view.at) if stale else view

    def plan(self, group: str) -> Plan | None:
        """What a group needs; None where that is not known."""
        return self.view.plans.get(group)

    def scaled(self) -> Sequence[str]:
        """The groups that are scaled."""
        return sorted(name for name, group in self.groups.items() if group.autoscaling)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this after each plan, in the planning thread: it may not wait."""
        self._listeners.append(listener)

    def take_broker(self, reading: Reading, oldest_seconds: Mapping[str, float]) -> None:
        """Note what the broker says, and plan."""
        with self._lock:
            self._reading = reading
            self._planner.take_broker(reading, self._clock(), oldest_seconds=oldest_seconds)
        self._plan()

    def read_fleet(self, fleet: Fleet) -> Sequence[Pod] | None:
        """Ask Kubernetes and the workers, and plan; None where they cannot be asked."""
        # What they say is as old as the question.
        asked_at = self._clock()
        try:
            pods = fleet.read()
        except Exception as error:  # Kubernetes' client has many, and none may end the watch
            self._note("fleet", str(error))
            self._take_fleet(None, asked_at)
            return None
        self._note("fleet", "")
        self._take_fleet(pods, asked_at)
        return pods

    def overview(self) -> Overview:
        """What people are shown."""
        with self._lock:
            return overviews.overview(
                self.view.plans,
                history=self._history,
                reading=self._reading,
                dead_letters=self.dead_letters,
                oldest_seconds=self.view.oldest_seconds,
                running=self.view.running,
                problems=[problem for problem in self._problems.values() if problem],
                at=self._wall(),
            )

    def _take_fleet(self, pods: Sequence[Pod] | None, asked_at: float) -> None:
        with self._lock:
            if pods is None:
                self._planner.miss_fleet()
            else:
                self._planner.take_fleet(pods, asked_at)
        self._plan()

    def _plan(self) -> None:
        with self._lock:
            now, planner = self._clock(), self._planner
            self._view = View(
                at=now,
                plans=planner.plans(now),
                oldest_seconds=planner.oldest_seconds,
                arrivals_per_second={
                    queue: rate
                    for queue, arrivals in planner.queue_arrivals.items()
                    if (rate := arrivals.per_second) is not None
                },
                running=planner.queue_running(now),
                reading=self._reading,
            )
            self._remember(self._view)
        for listener in self._listeners:
            listener()

    def _remember(self, view: View) -> None:
        at = self._wall()
        self._history.note(view.plans, at)
        if self._history.sample_is_due(at):
            depths = view.reading.depths
            waiting = {name: depths[name].ready for name in self.dead_letters if name in depths}
            self._history.sample(
                view.plans, waiting=waiting, oldest_seconds=view.oldest_seconds, at=at
            )

    def _note(self, source: str, problem: str) -> None:
        if problem and not self._problems.get(source):
            logger.warning("%s", problem)
        self._problems[source] = problem
