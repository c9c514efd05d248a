"""The page that Prometheus scrapes, from what is in memory: no broker is asked for it.

Names, types and labels of tasks, workers and queues are those of celery-exporter, so that
dashboards for it work, but for two: what is sent has no hostname, as producers come and go and are
never heard of again, and histograms have none, as there would be eighteen series for each task name
on each worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_

from celery_exporter.exposition import by, family, head, text
from celery_exporter.labels import labels
from celery_exporter.readings import Reading
from celery_exporter.state import rows
from celery_exporter.state.counting import State
from celery_exporter.state.rows import NOWHERE, Row
from celery_exporter.state.workers import Worker
from celery_runtime.health.histogram import Histogram

_HELP_OF_TASKS = {
    rows.SENT: "Sent when a task message is published.",
    rows.RECEIVED: "Sent when the worker receives a task.",
    rows.STARTED: "Sent just before the worker executes the task.",
    rows.SUCCEEDED: "Sent if the task executed successfully.",
    rows.REJECTED: "The task was rejected by the worker.",
    rows.REVOKED: "Sent if the task has been revoked.",
    rows.RETRIED: "Sent if the task failed, but will be retried in the future.",
}
#: What became of a task, in the words of its result.
_STATUSES = {
    "success": rows.SUCCEEDED,
    "failure": rows.FAILED,
    "retry": rows.RETRIED,
    "rejected": rows.REJECTED,
    "revoked": rows.REVOKED,
}

SLICE_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the exporter itself does."""

    #: For each source, whether it answers; a source that this broker does not have is not there.
    up: Mapping[str, bool] = field(default_factory=dict)
    #: Messages and events, by what became of them.
    events: Mapping[str, int] = field(default_factory=dict)
    buffered: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything that a page is made of, at one moment."""

    state: State
    reading: Reading
    health: Health
    #: Each queue's dead-letter queue.
    dead_letters: Mapping[str, str]
    oldest_seconds: Mapping[str, float]
    now: float
    #: Of queues, from workers; what events tell goes before it.
    arrivals_per_second: Mapping[str, float] = field(default_factory=dict)


def page(snapshot: Snapshot) -> Iterator[str]:
    """The page in Prometheus' text format, in parts: as a whole it may have tens of megabytes."""
    yield from _tasks(snapshot.state)
    yield from _histograms(snapshot.state)
    yield from _workers(snapshot)
    yield from _queues(snapshot)
    yield from _rates(snapshot)
    yield from _exporter(snapshot)


def _tasks(state: State) -> Iterator[str]:
    every = state.rows.all()
    produced = [row for row in every if row.counts[rows.SENT]]
    worked = [row for row in every if row.host != NOWHERE or any(row.counts[rows.RECEIVED :])]
    for kind, meaning in _HELP_OF_TASKS.items():
        name = f"celery_task_{rows.KINDS[kind]}_total"
        yield head(name, "counter", meaning)
        yield from _counters(name, produced if kind == rows.SENT else worked, kind)
    yield head("celery_task_failed_total", "counter", "Sent if the execution of the task failed.")
    # Without an exception: a rate of failures is then 0, not unknown, where nothing has failed.
    for some in _slices(worked):
        yield _zeros("celery_task_failed_total", [row.labels for row in some])
    yield from _failures(worked)
    yield family(
        "celery_task_total",
        "counter",
        "Tasks by what became of them.",
        ((labels(status=status), state.totals[kind]) for status, kind in _STATUSES.items()),
    )


def _counters(name: str, every: Sequence[Row], kind: int) -> Iterator[str]:
    # The one place where a page has tens of thousands of lines. Each count is read once, as events
    # are counted meanwhile; the many that are zero need no formatting.
    for some in _slices(every):
        counts = [row.counts[kind] for row in some]
        pairs = [row.labels for row in some]
        yield _zeros(name, list(compress(pairs, map(not_, counts))))
        others = zip(compress(pairs, counts), filter(None, counts), strict=True)
        yield "".join([f"{name}{each} {count}\n" for each, count in others])


def _slices(every: Sequence[Row]) -> Iterator[Sequence[Row]]:
    # Texts of about 100 kB: larger ones leave the processor's cache, and the heap.
    return (every[first : first + SLICE_ROWS] for first in range(0, len(every), SLICE_ROWS))


def _zeros(name: str, each: Sequence[str]) -> str:
    end = " 0\n"
    return f"{name}{f'{end}{name}'.join(each)}{end}" if each else ""


def _failures(every: Sequence[Row]) -> Iterator[str]:
    for row in [row for row in every if row.failures]:
        for exception, count in list(row.failures.items()):
            pairs = labels(
                name=row.name, hostname=row.host, exception=exception, queue_name=row.queue
            )
            yield f"celery_task_failed_total{pairs} {count}\n"


def _histograms(state: State) -> Iterator[str]:
    yield from _histogram(
        "celery_task_runtime", "How long tasks ran, in seconds.", state.runtimes.copy()
    )
    yield from _histogram(
        "celery_task_queue_wait_time",
        "Seconds from the sending of a task to its start, without tasks that have an ETA.",
        state.waits.copy(),
    )


def _histogram(
    name: str, meaning: str, histograms: Mapping[tuple[str, str], Histogram]
) -> Iterator[str]:
    yield head(name, "histogram", meaning)
    for (task, queue), histogram in histograms.items():
        yield "".join(_buckets(name, task, queue, histogram))


def _buckets(name: str, task: str, queue: str, histogram: Histogram) -> Iterator[str]:
    bounds = [*map(text, histogram.bounds_seconds), "+Inf"]
    counts = histogram.cumulative()
    for bound, count in zip(bounds, counts, strict=True):
        yield f"{name}_bucket{labels(name=task, queue_name=queue, le=bound)} {count}\n"
    pairs = labels(name=task, queue_name=queue)
    yield f"{name}_sum{pairs} {text(histogram.sum_seconds)}\n"
    yield f"{name}_count{pairs} {counts[-1]}\n"


def _workers(snapshot: Snapshot) -> Iterator[str]:
    up: dict[str, int] = {}
    active: dict[str, int] = {}
    concurrency: dict[str, int | None] = {}
    for worker in _heard(snapshot):
        host, is_up = worker.host, worker.up(snapshot.now)
        up[host] = max(up.get(host, 0), int(is_up))
        active[host] = active.get(host, 0) + worker.tasks_active() * is_up
        if is_up:
            concurrency[host] = _sum(concurrency.get(host, 0), worker.concurrency)
    yield by("hostname", "celery_worker_up", "Whether a worker is heard of.", up)
    yield by("hostname", "celery_worker_tasks_active", "Tasks that a worker runs.", active)
    yield by(
        "hostname",
        "celery_worker_concurrency",
        "Tasks that a worker can run at once.",
        concurrency,
    )


def _queues(snapshot: Snapshot) -> Iterator[str]:
    reading, dead = snapshot.reading, set(snapshot.dead_letters.values())
    depths = {name: depth for name, depth in reading.depths.items() if name not in dead}
    yield by(
        "queue_name",
        "celery_queue_length",
        "Messages that wait in a queue.",
        {name: depth.ready for name, depth in depths.items()},
    )
    yield by(
        "queue_name",
        "celery_active_consumer_count",
        "Consumers of a queue, as the broker counts them.",
        {name: depth.consumers for name, depth in depths.items()},
    )
    yield from _consumers(snapshot)
    # Of dead-letter queues, too: what died is lost with them.
    yield by(
        "queue_name",
        "celery_queue_members",
        "Nodes of RabbitMQ that hold a copy of a queue.",
        {name: depth.members for name, depth in reading.depths.items()},
    )
    yield by(
        "queue_name",
        "celery_queue_online_members",
        "Those of them that are there.",
        {name: depth.online_members for name, depth in reading.depths.items()},
    )
    yield by(
        "queue_name",
        "celery_queue_unacked_messages",
        "Messages of a queue that workers hold.",
        {name: depth.unacked for name, depth in depths.items()},
    )
    yield family(
        "celery_broker_unacked_messages",
        "gauge",
        "Messages of all queues that workers hold.",
        [("", _all_unacked(reading))],
    )
    yield by(
        "queue_name",
        "celery_queue_oldest_message_age_seconds",
        "How long the oldest message waits; at least so long, where producers send no events.",
        snapshot.oldest_seconds,
    )
    yield by(
        "queue_name",
        "celery_dead_letter_queue_length",
        "Dead messages of a queue.",
        {
            queue: reading.depths[name].ready
            for queue, name in snapshot.dead_letters.items()
            if name in reading.depths
        },
    )
    yield by(
        "queue_name",
        "celery_queue_held_dead_letters",
        "Messages that died in a queue and that RabbitMQ has not moved to its dead letters yet.",
        {name: depth.held_dead for name, depth in depths.items()},
    )
    yield by(
        "queue_name",
        "celery_delay_queue_held_messages",
        "Messages whose countdown is over and that RabbitMQ has not moved on yet.",
        reading.held_delayed,
    )


def _consumers(snapshot: Snapshot) -> Iterator[str]:
    up = [worker for worker in _heard(snapshot) if worker.up(snapshot.now)]
    workers = _idle_queues(snapshot, up)
    processes: dict[str, int | None] = {**workers}
    for worker in up:
        for queue in worker.queues or ():
            workers[queue] = workers.get(queue, 0) + 1
            processes[queue] = _sum(processes.get(queue, 0), worker.concurrency)
    yield by("queue_name", "celery_active_worker_count", "Workers that consume a queue.", workers)
    yield by(
        "queue_name",
        "celery_active_process_count",
        "Tasks that the workers of a queue can run at once.",
        processes,
    )


def _heard(snapshot: Snapshot) -> Sequence[Worker]:
    """All workers; none while their source is silent, as nothing is known of them then."""
    return [] if _is_deaf(snapshot) else list(snapshot.state.workers.values())


def _is_deaf(snapshot: Snapshot) -> bool:
    up = snapshot.health.up
    return up.get("events", up.get("workers")) is False


def _idle_queues(snapshot: Snapshot, up: Sequence[Worker]) -> dict[str, int]:
    """The queues, each without a worker, where all workers were asked and have answered."""
    if not snapshot.health.up.get("workers") or any(worker.queues is None for worker in up):
        return {}
    return dict.fromkeys(snapshot.dead_letters, 0)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _all_unacked(reading: Reading) -> int | None:
    each = [depth.unacked for depth in reading.depths.values()]
    if reading.unacked is not None or not each or None in each:
        return reading.unacked
    return sum(count for count in each if count is not None)


def _rates(snapshot: Snapshot) -> Iterator[str]:
    queues = [] if _is_deaf(snapshot) else list(snapshot.state.queues.values())
    told = {
        queue.name: rate for queue in queues if (rate := queue.arrivals_per_second()) is not None
    }
    yield by(
        "queue_name",
        "celery_queue_running_tasks",
        "Tasks of a queue that run.",
        {queue.name: queue.running_tasks() for queue in queues},
    )
    yield by(
        "queue_name",
        "celery_queue_arrivals_per_second",
        "Tasks that came into a queue, over the last minute.",
        {**snapshot.arrivals_per_second, **told},
    )
    yield by(
        "queue_name",
        "celery_queue_completions_per_second",
        "Tasks of a queue that ended, over the last minute.",
        {queue.name: queue.completions_per_second() for queue in queues},
    )


def _exporter(snapshot: Snapshot) -> Iterator[str]:
    state, health, reading = snapshot.state, snapshot.health, snapshot.reading
    yield by("source", "celery_exporter_up", "Whether a source answers.", health.up)
    known = {**dict.fromkeys(reading.unread, 0), **dict.fromkeys(reading.depths, 1)}
    yield by(
        "queue_name", "celery_exporter_queue_up", "Whether the broker tells of a queue.", known
    )
    events = {
        **health.events,
        "foreign": state.foreign,
        "duplicate": state.duplicates,
        "untracked": state.untracked,
    }
    yield by(
        "outcome",
        "celery_exporter_events_total",
        "Events, by what became of them; of what is shed and unreadable, messages.",
        events,
        kind="counter",
    )
    yield by(
        "label",
        "celery_exporter_capped_total",
        "Times that a label found no room and was counted as other.",
        state.capped,
        kind="counter",
    )
    yield family(
        "celery_exporter_buffered_messages",
        "gauge",
        "Messages that have come and are not counted yet.",
        [("", health.buffered)],
    )
    yield family(
        "celery_exporter_held_tasks",
        "gauge",
        "Tasks that are with workers, as far as events tell.",
        [("", state.held)],
    )
