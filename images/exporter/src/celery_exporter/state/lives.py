"""The lives of tasks, from being sent to their end, by their events."""

import re
from typing import Any

from celery_exporter.state.counters import Counters
from celery_exporter.state.generations import Generations
from celery_exporter.state.limits import Limits
from celery_exporter.state.queues import QueueCounts
from celery_exporter.state.rows import FAILED, RECEIVED, STARTED, SUCCEEDED
from celery_exporter.state.tasks import Ended, Sent
from celery_exporter.state.vocabulary import MAX_CHARACTERS, ForeignError
from celery_exporter.state.workers import Held, Worker, Workers

Event = dict[str, Any]

#: The name of a task of which only a part was seen; dashboards leave it out by this name.
UNKNOWN = "None"
UNKNOWN_EXCEPTION = "UnknownException"
DAY_SECONDS = 24 * 60 * 60
KEEP_ENDED_SECONDS = 60
#: More is no duration, and no moment either.
MAX_SECONDS = 1e12
#: On top of the longest task: what runs longer has ended unseen.
MARGIN_SECONDS = 300

_EXCEPTION = re.compile(r"(\w+)\(")


class Lives:
    """What is known of each task that has not ended long ago.

    Durations are taken between arrivals of events here, so that no clock of another machine
    counts, however wrong it is.
    """

    def __init__(
        self, counters: Counters, workers: Workers, *, limits: Limits, max_task_seconds: int | None
    ) -> None:
        self._counters, self._workers = counters, workers
        self._most_held = limits.held
        self._longest_seconds = max_task_seconds + MARGIN_SECONDS if max_task_seconds else None
        self.duplicates = 0
        self.untracked = 0
        self._queue_of: dict[str, QueueCounts] = {}
        self._waiting: Generations[Sent] = Generations(
            most=limits.waiting, keep_seconds=DAY_SECONDS
        )
        self._held: dict[str, Held] = {}
        self._ended: Generations[Ended] = Generations(
            most=limits.ended, keep_seconds=KEEP_ENDED_SECONDS
        )

    @property
    def held(self) -> int:
        """How many tasks are with workers."""
        return len(self._held)

    def sent_at(self, task_id: str) -> float | None:
        """When a task was sent that no worker has yet; None where that was not seen."""
        sent = self._waiting.get(task_id)
        return None if sent is None or sent.delayed else sent.at

    # Events

    def sent(self, event: Event, now: float) -> None:
        """A producer has sent it."""
        counters = self._counters
        task_id = _id(event)
        name = counters.names.of(event["name"])
        queue = counters.queue(event.get("queue") or counters.default_queue.name)
        self._queue_of[name] = queue
        counters.sent(name, queue)
        sent = Sent(now, name, queue, event.get("eta") is not None)
        held = self._held.get(task_id)
        # A task that is held was sent before, or is sent again for a retry.
        if held is None or held.sent is not None:
            self._waiting.put(task_id, sent)
        else:
            self._learn_late(held, sent)

    def received(self, event: Event, now: float) -> None:
        """A worker has it."""
        task_id = _id(event)
        name = self._counters.names.of(event["name"])
        worker = self._workers.seen(event["hostname"], now)
        known = self._held.get(task_id)
        if known is not None and not self._is_news(known, name, worker, task_id):
            return
        sent = self._waiting.pop(task_id)
        source = sent or known
        queue = source.queue if source else self._queue_of.get(name, self._counters.default_queue)
        row = self._counters.row(name, worker, queue)
        self._counters.count(row, RECEIVED)
        queue.received += 1
        if not self._is_past(task_id, event):
            self._hold(task_id, Held(name, worker, queue, row, now, sent))

    def started(self, event: Event, now: float) -> None:
        """It runs."""
        task_id = _id(event)
        worker = self._workers.seen(event["hostname"], now)
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
        self._counters.count(held.row, STARTED)
        if task_id in self._held:
            self._run(task_id, held, now)

    def end(self, kind: int, event: Event, now: float) -> None:
        """It has ended, or its attempt has."""
        task_id = _id(event)
        worker = self._workers.seen(event["hostname"], now)
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
        self._counters.count(held.row, kind)
        self._ended.put(task_id, Ended(kind, worker.name, timestamp, held.name, held.queue))
        if kind == SUCCEEDED:
            # None where the worker learnt of the success after it had lost the process.
            runtime = _number(event.get("runtime"))
            if runtime is not None:
                self._counters.observe_runtime(held.name, held.queue, runtime)
        elif kind == FAILED:
            self._counters.failed(held.row, self._exception(event.get("exception")))

    def cancelled(self, event: Event, now: float) -> None:
        """Its worker has given it back."""
        task_id = _id(event)
        self._workers.seen(event["hostname"], now)
        self._drop(task_id)

    # Workers and time

    def heartbeat(self, worker: Worker, active: int) -> None:
        """A worker says how many it runs."""
        worker.active = active
        for task_id in worker.surplus_after(active):
            self._drop(task_id)

    def lose(self, worker: Worker) -> None:
        """Nobody hears of the worker any more: what it runs does not count as running.

        It stays held: should the worker be heard of again, the ends have their names.
        """
        worker.run({})
        for task_id, held in list(worker.running.items()):
            self._release(task_id, held)

    def age(self, now: float) -> None:
        """Forget by and by what was sent, and what has ended."""
        self._waiting.age(now)
        self._ended.age(now)

    def forget(self, now: float) -> None:
        """Forget tasks whose end was not seen, and never will be."""
        longest = self._longest_seconds or DAY_SECONDS
        for task_id, held in list(self._held.items()):
            began, most = held.started_at, longest
            if began is None:
                began, most = held.received_at, DAY_SECONDS
            if now - began > most:
                self._drop(task_id)

    # One task

    def _hold(self, task_id: str, held: Held) -> None:
        if len(self._held) < self._most_held:
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
            self._counters.observe_wait(held.name, held.queue, seconds)

    def _drop(self, task_id: str) -> None:
        if held := self._held.pop(task_id, None):
            self._release(task_id, held)

    def _release(self, task_id: str, held: Held) -> None:
        if held.started_at is not None:
            held.started_at = None
            held.queue.running -= 1
            held.worker.running.pop(task_id, None)

    def _move(self, task_id: str, held: Held, worker: Worker) -> None:
        """Its first worker was lost, or the message that told of the second one's receipt."""
        self._release(task_id, held)
        held.worker = worker
        held.row = self._counters.row(held.name, worker, held.queue)

    def _is_news(self, known: Held, name: str, worker: Worker, task_id: str) -> bool:
        """False for a receipt that is known already, or comes after the start that it is for."""
        if known.worker is not worker:
            self._drop(task_id)
            return True
        if known.receipt_seen:
            self.duplicates += 1
            return False
        known.receipt_seen, known.name = True, name
        known.row = self._counters.row(name, worker, known.queue)
        self._counters.count(known.row, RECEIVED)
        known.queue.received += 1
        return False

    def _learn_late(self, held: Held, sent: Sent) -> None:
        """The producer's event came after the worker's: the task has hardly waited."""
        before, held.sent, held.queue = held.queue, sent, sent.queue
        held.row = self._counters.row(held.name, held.worker, held.queue)
        if held.started_at is not None:
            before.running -= 1
            held.queue.running += 1
            self._observe_wait(held, 0.0)

    def _never_received(self, task_id: str, worker: Worker, now: float) -> Held:
        """What can be said about a task whose receipt was not seen, or whose end was."""
        sent = self._waiting.pop(task_id)
        known = sent or self._ended.get(task_id)
        name, queue = (
            (known.name, known.queue) if known else (UNKNOWN, self._counters.default_queue)
        )
        held = Held(name, worker, queue, self._counters.row(name, worker, queue), now, sent)
        held.receipt_seen = False
        return held

    def _is_past(self, task_id: str, event: Event) -> bool:
        """True for an event of a life that has ended: its worker's own clock tells."""
        ended = self._ended.get(task_id)
        if ended is None or ended.hostname != event["hostname"] or ended.timestamp is None:
            return False
        timestamp = _number(event.get("timestamp"))
        return timestamp is not None and timestamp <= ended.timestamp

    def _exception(self, text: object) -> str:
        found = _EXCEPTION.match(text) if isinstance(text, str) else None
        return self._counters.exceptions.of(found[1]) if found else UNKNOWN_EXCEPTION


def _id(event: Event) -> str:
    task_id = event["uuid"]
    if type(task_id) is not str or len(task_id) > MAX_CHARACTERS:
        raise ForeignError("The task's id is no text, or too long.")
    return task_id


def _number(value: object) -> float | None:
    if type(value) is float or type(value) is int:
        return float(value) if 0 <= value <= MAX_SECONDS else None
    return None
