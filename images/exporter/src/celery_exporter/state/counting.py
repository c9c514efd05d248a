"""The state: every event of Celery's, applied, and what workers have counted themselves."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from celery_exporter.readings import Pod, Work
from celery_exporter.state import rows
from celery_exporter.state.counters import Counters
from celery_exporter.state.limits import Limits
from celery_exporter.state.lives import Event, Lives
from celery_exporter.state.queues import SAMPLE_SECONDS
from celery_exporter.state.vocabulary import ForeignError
from celery_exporter.state.workers import Worker, Workers

SWEEP_SECONDS = 60

_USUAL = Limits()
_Handler = Callable[[Event, float], None]


class State:
    """What stays bounded whatever comes in; nothing is said about time but by the caller."""

    def __init__(
        self,
        *,
        default_queue: str,
        per_worker: bool = True,
        max_task_seconds: int | None = None,
        limits: Limits = _USUAL,
    ) -> None:
        counters = self._counters = Counters(
            default_queue=default_queue, per_worker=per_worker, limits=limits
        )
        self.rows, self.queues = counters.rows, counters.queues
        self.runtimes, self.waits = counters.runtimes, counters.waits
        self.totals = counters.totals
        self._workers = Workers(most=limits.workers)
        self.workers = self._workers.by_name
        self._by_pod: dict[str, Worker] = {}
        lives = self._lives = Lives(
            counters, self._workers, limits=limits, max_task_seconds=max_task_seconds
        )
        self.foreign = 0
        self._sampled_at = self._swept_at = -math.inf
        self._handlers: dict[object, _Handler] = {
            "task-sent": lives.sent,
            "task-received": lives.received,
            "task-started": lives.started,
            "task-cancelled": lives.cancelled,
            "worker-heartbeat": self._heartbeat,
            "worker-online": self._heartbeat,
            "worker-offline": self._offline,
            **{
                f"task-{rows.KINDS[kind]}": partial(lives.end, kind)
                for kind in range(rows.SUCCEEDED, len(rows.KINDS))
            },
        }

    @property
    def capped(self) -> dict[str, int]:
        """How often each label found no room and was counted as other."""
        return {**self._counters.capped, "hostname": self._workers.capped}

    @property
    def duplicates(self) -> int:
        """How many events told what was known."""
        return self._lives.duplicates

    @property
    def untracked(self) -> int:
        """How many tasks found no room among those that workers hold."""
        return self._lives.untracked

    @property
    def held(self) -> int:
        """How many tasks are with workers."""
        return self._lives.held

    def sent_at(self, task_id: str) -> float | None:
        """When a task was sent that no worker has yet; None where that was not seen."""
        return self._lives.sent_at(task_id)

    def apply(self, events: Iterable[Event], now: float) -> None:
        """Count events that came at this time."""
        handlers = self._handlers
        for event in events:
            try:
                handler = handlers.get(event.get("type"))
                if handler is not None:
                    handler(event, now)
                else:
                    self.foreign += 1
            except (ForeignError, KeyError, TypeError):
                # A field that is missing or of another type: nothing was changed before it is used.
                self.foreign += 1
        self._pass_time(now)

    def unheard(self, now: float) -> None:
        """Note that no event can come: the silence of a worker says nothing."""
        for worker in self.workers.values():
            worker.seen_at = now

    def answered(
        self,
        name: str,
        *,
        concurrency: int | None,
        queues: Iterable[str] | None,
        now: float,
    ) -> None:
        """Note what a worker has answered when it was asked, which was now."""
        known = self.workers.get(name)
        if known is not None and known.left and known.seen_at >= now:
            return  # It answered, and said goodbye while others were waited for.
        worker = self._workers.seen(name, max(now, known.seen_at) if known else now)
        worker.left = False
        if concurrency is not None:
            worker.concurrency = concurrency
        if queues is not None:
            worker.queues = tuple(map(self._counters.queue_names.of, queues))

    def tally(self, pods: Iterable[Pod], now: float) -> None:
        """Count what workers have counted themselves since they were asked before."""
        here: dict[str, Worker] = {}
        for pod in pods:
            known = self._by_pod.get(pod.name)
            worker = self._tallied(pod.work, now) if pod.work else known
            if worker is not None:
                here[pod.name] = worker
        for worker in set(self._by_pod.values()) - set(here.values()):
            worker.leave()
        self._by_pod = here
        self._pass_time(now)

    def _tallied(self, work: Work, now: float) -> Worker:
        self.answered(work.worker, concurrency=work.slots, queues=work.queues, now=now)
        worker = self._workers.seen(work.worker, now)
        worker.active = len(work.running)
        runs = Counter(self._counters.queue(each.queue) for each in work.running)
        for queue in (*map(self._counters.queue, work.queues), *runs):
            queue.told = True
        worker.run(runs)
        for counted in work.counted:
            self._counters.add(counted, worker)
        return worker

    def _heartbeat(self, event: Event, now: float) -> None:
        worker = self._workers.seen(event["hostname"], now)
        worker.left = False
        active = event.get("active")
        if type(active) is int and active >= 0:
            self._lives.heartbeat(worker, active)

    def _offline(self, event: Event, now: float) -> None:
        self._workers.seen(event["hostname"], now).leave()

    def _pass_time(self, now: float) -> None:
        if now - self._sampled_at < SAMPLE_SECONDS:
            return
        self._sampled_at = now
        self._lives.age(now)
        for queue in self.queues.values():
            queue.sample(now)
        for worker in self._workers.lost(now):
            self._lives.lose(worker)
        if gone := self._workers.forget(now):
            self.rows.drop(gone)
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._lives.forget(now)
