"""The state: every event of Celery's, applied."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery_exporter.readings import Counted, Durations, Pod, Work
from celery_exporter.state import rows, workers
from celery_exporter.state.generations import Generations
from celery_exporter.state.queues import SAMPLE_SECONDS, QueueCounts
from celery_exporter.state.rows import (
    FAILED,
    NOWHERE,
    RECEIVED,
    SENT,
    STARTED,
    SUCCEEDED,
    Row,
    Rows,
)
from celery_exporter.state.tasks import Ended, Sent
from celery_exporter.state.vocabulary import OTHER, ForeignError, Vocabulary, readable
from celery_exporter.state.workers import Held, Worker
from celery_runtime.health.histogram import (
    RUNTIME_BOUNDS_SECONDS,
    WAIT_BOUNDS_SECONDS,
    Histogram,
)

Event = dict[str, Any]

#: The name of a task of which only a part was seen; dashboards leave it out by this name.
UNKNOWN = "None"
UNKNOWN_EXCEPTION = "UnknownException"
MAX_ID_CHARACTERS = 255
DAY_SECONDS = 24 * 60 * 60
SWEEP_SECONDS = 60
#: More is no duration, and no moment either.
MAX_SECONDS = 1e12
#: On top of the longest task: what runs longer has ended unseen.
MARGIN_SECONDS = 300

_EXCEPTION = re.compile(r"(\w+)\(")
_Handler = Callable[[Event, float], None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is remembered; beyond it everything is counted, under the name `other`."""

    names: int = 1000
    workers: int = 5000
    queues: int = 1000
    exceptions: int = 200
    rows: int = 100_000
    #: Sent and not yet received, held by workers, ended a while ago.
    waiting: int = 100_000
    held: int = 100_000
    ended: int = 20_000


class State:
    """Counters that stay bounded whatever comes in; nothing is said about time but by the caller.

    Durations are taken between arrivals of events here, so that no clock of another machine
    counts, however wrong it is.
    """

    def __init__(
        self,
        *,
        default_queue: str,
        per_worker: bool = True,
        max_task_seconds: int | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._limits = limits
        self._per_worker = per_worker
        self._longest_seconds = max_task_seconds + MARGIN_SECONDS if max_task_seconds else None
        self.names = Vocabulary(most=limits.names)
        self.queue_names = Vocabulary(most=limits.queues)
        self.exceptions = Vocabulary(most=limits.exceptions)
        self.rows = Rows(most=limits.rows)
        self.queues: dict[str, QueueCounts] = {}
        self.workers: dict[str, Worker] = {}
        self._by_pod: dict[str, Worker] = {}
        self.runtimes: dict[tuple[str, str], Histogram] = {}
        self.waits: dict[tuple[str, str], Histogram] = {}
        #: All tasks by what became of them; a worker that is forgotten takes nothing away.
        self.totals = [0] * len(rows.KINDS)
        self.foreign = 0
        self.duplicates = 0
        self.untracked = 0
        self.workers_capped = 0
        self._default_queue = self._queue(default_queue)
        self._queue_of: dict[str, QueueCounts] = {}
        self._waiting: Generations[Sent] = Generations(
            most=limits.waiting, keep_seconds=DAY_SECONDS
        )
        self._held: dict[str, Held] = {}
        self._ended: Generations[Ended] = Generations(most=limits.ended, keep_seconds=SWEEP_SECONDS)
        self._sampled_at = self._swept_at = -math.inf
        self._handlers: dict[object, _Handler] = {
            "task-sent": self._sent,
            "task-received": self._received,
            "task-started": self._started,
            "task-cancelled": self._cancelled,
            "worker-heartbeat": self._heartbeat,
            "worker-online": self._heartbeat,
            "worker-offline": self._offline,
            **{
                f"task-{rows.KINDS[kind]}": partial(self._end, kind)
                for kind in range(SUCCEEDED, len(rows.KINDS))
            },
        }

    @property
    def capped(self) -> dict[str, int]:
        """How often each label found no room and was counted as other."""
        return {
            "name": self.names.capped,
            "queue_name": self.queue_names.capped,
            "exception": self.exceptions.capped,
            "hostname": self.workers_capped,
            "row": self.rows.capped,
        }

    @property
    def held(self) -> int:
        """How many tasks are with workers."""
        return len(self._held)

    def sent_at(self, task_id: str) -> float | None:
        """When a task was sent that no worker has yet; None where that was not seen."""
        sent = self._waiting.get(task_id)
        return None if sent is None or sent.delayed else sent.at

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
        if now - self._sampled_at >= SAMPLE_SECONDS:
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
        worker = self._seen(name, max(now, known.seen_at) if known else now)
        worker.left = False
        if concurrency is not None:
            worker.concurrency = concurrency
        if queues is not None:
            worker.queues = tuple(self.queue_names.of(queue) for queue in queues)

    def tally(self, pods: Iterable[Pod], now: float) -> None:
        """Count what workers have counted themselves since they were asked before."""
        here: dict[str, Worker] = {}
        for pod in pods:
            known = self._by_pod.get(pod.name)
            worker = self._tallied(pod.work, now) if pod.work else known
            if worker is not None:
                here[pod.name] = worker
        for worker in set(self._by_pod.values()) - set(here.values()):
            self._leave(worker)
        self._by_pod = here
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._pass_time(now)

    # Tasks

    def _sent(self, event: Event, now: float) -> None:
        task_id = _id(event)
        name = self.names.of(event["name"])
        queue = self._queue(event.get("queue") or self._default_queue.name)
        self._queue_of[name] = queue
        self.rows.of(name, NOWHERE, queue.name).counts[SENT] += 1
        self.totals[SENT] += 1
        queue.sent += 1
        sent = Sent(now, name, queue, event.get("eta") is not None)
        held = self._held.get(task_id)
        # A task that is held was sent before, or is sent again for a retry.
        if held is None or held.sent is not None:
            self._waiting.put(task_id, sent)
        else:
            self._learn_late(held, sent)

    def _received(self, event: Event, now: float) -> None:
        task_id = _id(event)
        name = self.names.of(event["name"])
        worker = self._seen(event["hostname"], now)
        known = self._held.get(task_id)
        if known is not None and not self._is_news(known, name, worker, task_id):
            return
        sent = self._waiting.pop(task_id)
        source = sent or known
        queue = source.queue if source else self._queue_of.get(name, self._default_queue)
        row = self._row(name, worker, queue)
        row.counts[RECEIVED] += 1
        self.totals[RECEIVED] += 1
        queue.received += 1
        if not self._is_past(task_id, event):
            self._hold(task_id, Held(name, worker, queue, row, now, sent))

    def _started(self, event: Event, now: float) -> None:
        task_id = _id(event)
        worker = self._seen(event["hostname"], now)
        held = self._held.get(task_id)
        if held is None:
            held = self._never_received(task_id, worker, now)
            if not self._is_past(task_id, event):
                self._hold(task_id, held)
        elif held.started_at is not None and held.worker is worker:
            self.duplicates += 1
            return
        elif held.worker is not worker:
            self._move(task_id, held, worker)
        held.row.counts[STARTED] += 1
        self.totals[STARTED] += 1
        if task_id in self._held:
            self._run(task_id, held, now)

    def _end(self, kind: int, event: Event, now: float) -> None:
        task_id = _id(event)
        worker = self._seen(event["hostname"], now)
        timestamp = _number(event.get("timestamp"))
        held = self._held.pop(task_id, None)
        if held is not None:
            if held.worker is not worker:
                self._move(task_id, held, worker)
            self._release(task_id, held)
            held.queue.ended += 1
        else:
            past = self._ended.get(task_id)
            if past and past[:3] == (kind, worker.name, timestamp):
                self.duplicates += 1
                return
            held = self._never_received(task_id, worker, now)
        held.row.counts[kind] += 1
        self.totals[kind] += 1
        self._ended.put(task_id, Ended(kind, worker.name, timestamp, held.name, held.queue))
        if kind == SUCCEEDED:
            self._observe_runtime(held, event)
        elif kind == FAILED:
            self._count_exception(held.row, event)

    def _observe_runtime(self, held: Held, event: Event) -> None:
        # None where the worker learnt of the success after it had lost the process.
        runtime = _number(event.get("runtime"))
        if runtime is not None:
            key = (held.name, held.queue.name)
            self._histogram(self.runtimes, key, RUNTIME_BOUNDS_SECONDS).observe(runtime)

    def _count_exception(self, row: Row, event: Event) -> None:
        exception = self._exception(event.get("exception"))
        row.failures[exception] = row.failures.get(exception, 0) + 1

    def _cancelled(self, event: Event, now: float) -> None:
        task_id = _id(event)
        self._seen(event["hostname"], now)
        if held := self._held.pop(task_id, None):
            self._release(task_id, held)

    def _hold(self, task_id: str, held: Held) -> None:
        if len(self._held) < self._limits.held:
            self._held[task_id] = held
        else:
            self.untracked += 1

    def _run(self, task_id: str, held: Held, now: float) -> None:
        held.started_at = now
        held.queue.running += 1
        held.worker.running[task_id] = held
        if held.sent is not None:
            self._observe_wait(held, max(0.0, now - held.sent.at))

    def _observe_wait(self, held: Held, seconds: float) -> None:
        if held.sent is not None and not held.sent.delayed:
            key = (held.name, held.queue.name)
            self._histogram(self.waits, key, WAIT_BOUNDS_SECONDS).observe(seconds)

    def _release(self, task_id: str, held: Held) -> None:
        if held.started_at is not None:
            held.started_at = None
            held.queue.running -= 1
            held.worker.running.pop(task_id, None)

    def _move(self, task_id: str, held: Held, worker: Worker) -> None:
        """Its first worker was lost, or the message that told of the second one's receipt."""
        self._release(task_id, held)
        held.worker = worker
        held.row = self._row(held.name, worker, held.queue)

    def _is_news(self, known: Held, name: str, worker: Worker, task_id: str) -> bool:
        """False for a receipt that is known already, or comes after the start that it is for."""
        if known.worker is not worker:
            self._release(task_id, self._held.pop(task_id))
            return True
        if known.receipt_seen:
            self.duplicates += 1
            return False
        known.receipt_seen, known.name = True, name
        known.row = self._row(name, worker, known.queue)
        known.row.counts[RECEIVED] += 1
        self.totals[RECEIVED] += 1
        known.queue.received += 1
        return False

    def _learn_late(self, held: Held, sent: Sent) -> None:
        """The producer's event came after the worker's: the task has hardly waited."""
        before, held.sent, held.queue = held.queue, sent, sent.queue
        held.row = self._row(held.name, held.worker, held.queue)
        if held.started_at is not None:
            before.running -= 1
            held.queue.running += 1
            self._observe_wait(held, 0.0)

    def _never_received(self, task_id: str, worker: Worker, now: float) -> Held:
        """What can be said about a task whose receipt was not seen, or whose end was."""
        sent = self._waiting.pop(task_id)
        known = sent or self._ended.get(task_id)
        name, queue = (known.name, known.queue) if known else (UNKNOWN, self._default_queue)
        held = Held(name, worker, queue, self._row(name, worker, queue), now, sent)
        held.receipt_seen = False
        return held

    def _is_past(self, task_id: str, event: Event) -> bool:
        """True for an event of a life that has ended: its worker's own clock tells."""
        ended = self._ended.get(task_id)
        if ended is None or ended.hostname != event["hostname"] or ended.timestamp is None:
            return False
        timestamp = _number(event.get("timestamp"))
        return timestamp is not None and timestamp <= ended.timestamp

    # Labels

    def _row(self, name: str, worker: Worker, queue: QueueCounts) -> Row:
        return self.rows.of(name, worker.host if self._per_worker else NOWHERE, queue.name)

    def _queue(self, name: object) -> QueueCounts:
        known: QueueCounts | None = self.queues.get(name)  # type: ignore[call-overload]  # anything
        if known is not None:
            return known
        text = self.queue_names.of(name)
        return self.queues.setdefault(text, QueueCounts(text))

    def _exception(self, text: object) -> str:
        found = _EXCEPTION.match(text) if isinstance(text, str) else None
        return self.exceptions.of(found[1]) if found else UNKNOWN_EXCEPTION

    def _histogram(
        self,
        histograms: dict[tuple[str, str], Histogram],
        key: tuple[str, str],
        bounds_seconds: tuple[float, ...],
    ) -> Histogram:
        known = histograms.get(key)
        if known is not None:
            return known
        if len(histograms) >= self._limits.names:
            key = (OTHER, OTHER)
        return histograms.setdefault(key, Histogram(bounds_seconds))

    # Workers

    def _tallied(self, work: Work, now: float) -> Worker:
        self.answered(work.worker, concurrency=work.slots, queues=work.queues, now=now)
        worker = self._seen(work.worker, now)
        worker.active = len(work.running)
        runs = Counter(self._queue(each.queue) for each in work.running)
        for queue in (*map(self._queue, work.queues), *runs):
            queue.told = True
        worker.run(runs)
        for counted in work.counted:
            self._add(counted, worker)
        return worker

    def _add(self, counted: Counted, worker: Worker) -> None:
        name, queue = self.names.of(counted.name), self._queue(counted.queue)
        row = self._row(name, worker, queue)
        for kind, count in counted.counts.items():
            row.counts[rows.KINDS.index(kind)] += count
            self.totals[rows.KINDS.index(kind)] += count
        queue.received += counted.counts["received"]
        queue.ended += counted.ended
        for text, count in counted.failures.items():
            exception = self.exceptions.of(text)
            row.failures[exception] = row.failures.get(exception, 0) + count
        key = (name, queue.name)
        self._merge(self.runtimes, key, counted.runtimes, RUNTIME_BOUNDS_SECONDS)
        self._merge(self.waits, key, counted.waits, WAIT_BOUNDS_SECONDS)

    def _merge(
        self,
        histograms: dict[tuple[str, str], Histogram],
        key: tuple[str, str],
        durations: Durations,
        bounds_seconds: tuple[float, ...],
    ) -> None:
        if any(durations.counts):
            histogram = self._histogram(histograms, key, bounds_seconds)
            histogram.add(durations.counts, durations.sum_seconds)

    def _leave(self, worker: Worker) -> None:
        worker.left = True
        worker.active = None
        worker.run({})

    def _heartbeat(self, event: Event, now: float) -> None:
        worker = self._seen(event["hostname"], now)
        worker.left = False
        active = event.get("active")
        if type(active) is int and active >= 0:
            worker.active = active
            for task_id in worker.surplus_after(active):
                self._release(task_id, self._held.pop(task_id))

    def _offline(self, event: Event, now: float) -> None:
        worker = self._seen(event["hostname"], now)
        self._leave(worker)

    def _seen(self, name: object, now: float) -> Worker:
        worker: Worker | None = self.workers.get(name)  # type: ignore[call-overload]  # anything
        if worker is None:
            worker = self._new_worker(name)
        worker.seen_at = now
        return worker

    def _new_worker(self, name: object) -> Worker:
        if not isinstance(name, str):
            raise ForeignError(f"{type(name).__name__} where a worker's name was expected")
        text = readable(name[:MAX_ID_CHARACTERS])
        if text not in self.workers and len(self.workers) >= self._limits.workers:
            self.workers_capped += 1
            text = OTHER
        return self.workers.setdefault(text, Worker(text))

    # Time

    def _pass_time(self, now: float) -> None:
        self._sampled_at = now
        self._waiting.age(now)
        self._ended.age(now)
        for queue in self.queues.values():
            queue.sample(now)
        self._forget_workers(now)
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._forget_tasks(now)

    def _forget_workers(self, now: float) -> None:
        for worker in self.workers.values():
            if now - worker.seen_at > workers.LOST_AFTER_SECONDS:
                self._forget_running(worker)
        gone = [
            worker
            for worker in self.workers.values()
            if now - worker.seen_at > workers.FORGOTTEN_AFTER_SECONDS
        ]
        for worker in gone:
            del self.workers[worker.name]
        if gone:
            hosts = {worker.host for worker in gone}
            self.rows.drop(hosts - {worker.host for worker in self.workers.values()})

    def _forget_running(self, worker: Worker) -> None:
        worker.run({})
        # They stay held: should the worker be heard of again, their ends have their names.
        for task_id, held in list(worker.running.items()):
            self._release(task_id, held)

    def _forget_tasks(self, now: float) -> None:
        """Tasks whose end was not seen, and never will be."""
        longest = self._longest_seconds or DAY_SECONDS
        for task_id, held in list(self._held.items()):
            began, most = held.started_at, longest
            if began is None:
                began, most = held.received_at, DAY_SECONDS
            if now - began > most:
                del self._held[task_id]
                self._release(task_id, held)


def _id(event: Event) -> str:
    task_id = event["uuid"]
    if type(task_id) is not str or len(task_id) > MAX_ID_CHARACTERS:
        raise ForeignError("The task's id is no text, or too long.")
    return task_id


def _number(value: object) -> float | None:
    if type(value) is float or type(value) is int:
        return float(value) if 0 <= value <= MAX_SECONDS else None
    return None
