"""Whatever comes in, the state stays up and bounded, and says what it has cut."""

import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter.state import rows
from celery_exporter.state.counting import State
from celery_exporter.state.generations import Generations
from celery_exporter.state.limits import Limits
from celery_exporter.state.vocabulary import MAX_CHARACTERS, OTHER
from tests.exporter.state.celery_events import counted, event, life

SMALL = Limits(names=3, workers=3, queues=3, exceptions=3, rows=20, waiting=10, held=10, ended=10)
KINDS = [
    *(f"task-{kind}" for kind in (*rows.KINDS, "cancelled")),
    *("worker-online", "worker-heartbeat", "worker-offline", "task-progress"),
]
few = st.integers(0, 5).map(str)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)
plausible = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "uuid": few, "hostname": few, "name": few},
    optional={
        "queue": few,
        "timestamp": st.floats(-1e3, 1e3),
        "eta": st.none() | st.just("2026-01-01T00:00:00"),
        "runtime": st.none() | st.floats(),
        "active": st.integers(-1, 3),
        "exception": few.map("E{}()".format),
    },
)
hostile = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS) | anything,
        **dict.fromkeys(("uuid", "hostname", "name", "queue", "timestamp", "runtime"), anything),
        **dict.fromkeys(("exception", "active", "eta"), anything),
    },
)


def assert_bounded(state: State) -> None:
    assert len(state._counters.names) <= SMALL.names
    assert len(state.workers) <= SMALL.workers + 1
    assert len(state.queues) <= SMALL.queues + 1
    assert len(state.rows) <= SMALL.rows + 2
    assert len(state._counters.exceptions) <= SMALL.exceptions
    assert len(state.waits) <= SMALL.names + 1
    assert len(state.runtimes) <= SMALL.names + 1
    assert state.held <= SMALL.held
    assert len(state._lives._waiting) <= SMALL.waiting
    assert len(state._lives._ended) <= SMALL.ended


def assert_consistent(state: State) -> None:
    running = [held for held in state._lives._held.values() if held.started_at is not None]
    for queue in state.queues.values():
        assert queue.running == sum(held.queue is queue for held in running)
    assert sum(len(worker.running) for worker in state.workers.values()) == len(running)
    for kind, total in enumerate(state.totals):
        assert total == sum(row.counts[kind] for row in state.rows.all())


@settings(max_examples=300, deadline=None)
@given(st.lists(plausible | hostile, max_size=40), st.booleans())
def test_any_events_leave_it_bounded_and_consistent(
    events: list[dict[str, Any]], per_worker: bool
) -> None:
    state = State(default_queue="default", per_worker=per_worker, limits=SMALL)
    for now, each in enumerate(events):
        state.apply([each], now)
        assert_bounded(state)
        assert_consistent(state)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(plausible, st.integers(0, 200)), max_size=40))
def test_as_time_passes_it_stays_consistent_and_in_the_end_holds_nothing(
    events: list[tuple[dict[str, Any], int]],
) -> None:
    state = State(default_queue="default", limits=SMALL, max_task_seconds=60)
    now = 0
    for each, pause in events:
        now += pause
        state.apply([each], now)
        assert {queue.running >= 0 for queue in state.queues.values()} == {True}
    day = 24 * 60 * 60
    for later in range(1, 5):
        state.apply([], now + later * (day + 60))
    assert (state.held, state.workers) == (0, {})
    assert (len(state._lives._waiting), len(state._lives._ended)) == (0, 0)


def test_a_hundred_thousand_names_are_counted_as_a_thousand_and_one_and_said() -> None:
    state = State(default_queue="default")
    for number in range(100_000):
        state.apply([event("task-received", f"id-{number}", name=f"junk-{number}")], number / 1e4)
    assert len(state.rows) == 1001
    assert counted(state, name=OTHER) == {"received": 99_000}
    assert state._counters.names.capped == 99_000


def test_names_that_are_known_keep_their_counts_in_a_flood_of_others() -> None:
    state = State(default_queue="default", limits=SMALL)
    state.apply([event("task-received", "first")], 1)
    for number in range(100):
        state.apply([event("task-received", f"id-{number}", name=f"junk-{number}")], 1)
    state.apply([event("task-received", "last")], 1)
    assert counted(state, name="shop.pay") == {"received": 2}


def test_what_finds_no_room_is_counted_and_said_by_each_label() -> None:
    state = State(default_queue="default", limits=SMALL)
    for number in range(100):
        task_id, name, host = f"id-{number}", f"n{number}", f"io@pod-{number % 50}"
        state.apply(
            [
                event("task-sent", task_id, name=name, queue=f"queue-{number}"),
                event("task-received", task_id, name=name, hostname=host),
                event("task-started", task_id, hostname=host),
            ],
            1,
        )
    assert_bounded(state)
    assert state.held == SMALL.held
    assert state.untracked == 2 * (100 - SMALL.held)
    for number in range(100):
        host, exception = f"io@pod-{number % 50}", f"E{number}()"
        end = event("task-failed", f"id-{number}", hostname=host, exception=exception)
        state.apply([end], 2)
    assert_bounded(state)
    assert {label for label, count in state.capped.items() if count} == {
        *("name", "queue_name", "exception", "hostname"),
    }
    assert state.totals[1:5] == [100, 100, 0, 100]


def test_rows_beyond_the_cap_share_one_and_are_said() -> None:
    state = State(default_queue="default", limits=replace(SMALL, names=50, rows=20))
    for number in range(50):
        state.apply([event("task-sent", f"id-{number}", name=f"n{number}")], 1)
    assert (len(state.rows), state.capped["row"]) == (21, 30)
    assert counted(state, name=OTHER) == {"sent": 30}


def test_histograms_beyond_the_cap_share_one() -> None:
    state = State(default_queue="default", limits=SMALL)
    queues = [f"queue-{number}" for number in range(3)]
    for number in range(9):
        name, task_id = f"n{number // 3}", f"id-{number}"
        sent = event("task-sent", task_id, name=name, queue=queues[number % 3])
        came = event("task-received", task_id, name=name)
        end = event("task-succeeded", task_id, runtime=1.0)
        state.apply([sent, came, event("task-started", task_id), end], 1)
    for histograms in (state.waits, state.runtimes):
        assert len(histograms) == SMALL.names + 1
        assert sum(each.count for each in histograms.values()) == 9


def test_a_name_of_a_megabyte_is_cut() -> None:
    state = State(default_queue="default")
    state.apply([event("task-received", name="x" * 1_000_000)], 1)
    assert counted(state, name="x" * MAX_CHARACTERS) == {"received": 1}


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "task-received"},
        event("task-received", name=None),
        event("task-received", name=["a"]),
        event("task-received", hostname=3),
        event("task-started", task_id="x" * 1000),
        {"uuid": "a"},
        {"type": ["task-sent"]},
        event("task-of-mine"),
    ],
)
def test_what_celery_would_not_write_is_counted_as_foreign_and_as_nothing_else(
    broken: dict[str, Any],
) -> None:
    state = State(default_queue="default")
    state.apply([broken, *life()], 1)
    assert state.foreign == 1
    assert state.totals[:4] == [1, 1, 1, 1]


def test_memory_is_flat_over_task_ids() -> None:
    state = State(default_queue="default", limits=SMALL)
    sizes = set()
    for number in range(2000):
        state.apply([event("task-sent", f"id-{number}", queue="email")], number / 100)
        if number > 100:
            sizes.add(sys.getsizeof(state._lives._waiting._young) // 10_000)
    assert len(sizes) == 1


def test_a_generation_forgets_the_oldest_when_it_is_full_and_everything_with_time() -> None:
    memory: Generations[int] = Generations(most=4, keep_seconds=10)
    for number in range(5):
        memory.put(str(number), number)
    assert [memory.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]
    assert memory.dropped == 2
    memory.age(0)
    memory.put("5", 5)
    memory.age(9)
    assert memory.get("5") == 5
    memory.age(10)
    memory.age(20)
    assert len(memory) == 0
