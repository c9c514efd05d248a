"""The page, as Prometheus and dashboards for celery-exporter read it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_exporter import metrics
from celery_exporter.metrics import Health, Snapshot
from celery_exporter.readings import Depth, Reading
from celery_exporter.state.counting import State
from celery_exporter.state.workers import LOST_AFTER_SECONDS
from tests.exporter.conftest import samples_of, types_of, value
from tests.exporter.state.celery_events import TASK, event, life

#: https://github.com/danihodovic/celery-exporter: what its dashboards and alerts ask for.
TYPES = {
    **{
        f"celery_task_{kind}": "counter"
        for kind in (
            "sent",
            "received",
            "started",
            "succeeded",
            "failed",
            "rejected",
            "revoked",
            "retried",
        )
    },
    "celery_task_runtime": "histogram",
    "celery_task_queue_wait_time": "histogram",
    "celery_worker_up": "gauge",
    "celery_worker_tasks_active": "gauge",
    "celery_queue_length": "gauge",
    "celery_active_consumer_count": "gauge",
    "celery_active_worker_count": "gauge",
    "celery_active_process_count": "gauge",
}
ARTICLE = {
    "celery_task": "counter",
    "celery_queue_length": "gauge",
    "celery_worker_concurrency": "gauge",
}
SEEN = {"name": TASK, "hostname": "pod-1", "queue_name": "email"}


@pytest.fixture
def state() -> State:
    return State(default_queue="default")


def page_of(state: State, **changes: Any) -> str:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "reading": Reading(),
        "health": Health(),
        "dead_letters": {"email": "email.dead"},
        "oldest_seconds": {},
        "now": 1.0,
    }
    return "".join(metrics.page(Snapshot(state=state, **{**defaults, **changes})))


def test_every_metric_that_dashboards_know_is_there_with_its_type(state: State) -> None:
    state.apply(life(runtime=0.5), 1)
    types = types_of(page_of(state))
    assert {**TYPES, **ARTICLE}.items() <= types.items()


def test_every_metric_says_what_it_is_and_begins_with_celery(state: State) -> None:
    names = [line.split()[2] for line in page_of(state).splitlines() if line.startswith("# HELP ")]
    assert len(names) == len(set(names)) > 25
    assert all(name.startswith("celery_") for name in names)


def test_a_task_has_the_labels_that_dashboards_know(state: State) -> None:
    state.apply(life(runtime=0.5), 1)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_task_sent_total", name=TASK, queue_name="email") == 1
    for kind, count in {
        "received": 1,
        "started": 1,
        "succeeded": 1,
        "failed": 0,
        "retried": 0,
    }.items():
        assert value(seen, f"celery_task_{kind}_total", **SEEN) == count
    assert value(seen, "celery_task_total", status="success") == 1
    assert value(seen, "celery_task_total", status="failure") == 0


def test_a_failure_has_its_exception_and_a_rate_has_a_zero_to_start_from(state: State) -> None:
    state.apply(life(end="task-failed", exception="ValueError('no')"), 1)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_task_failed_total", **SEEN) == 0
    assert value(seen, "celery_task_failed_total", **SEEN, exception="ValueError") == 1


def test_a_histogram_counts_upwards(state: State) -> None:
    state.apply(life("a", runtime=0.003), 1)
    state.apply(life("b", runtime=2.5), 1)
    state.apply(life("c", runtime=100), 1)
    seen = samples_of(page_of(state))
    labels = {"name": TASK, "queue_name": "email"}
    counts = {
        le: value(seen, "celery_task_runtime_bucket", **labels, le=le)
        for le in ("0.005", "1.0", "2.5", "10.0", "+Inf")
    }
    assert list(counts.values()) == [1, 1, 2, 2, 3]
    assert value(seen, "celery_task_runtime_count", **labels) == 3
    assert value(seen, "celery_task_runtime_sum", **labels) == pytest.approx(102.503)


def test_workers_on_one_host_are_added_up(state: State) -> None:
    for name in ("io", "cpu"):
        state.answered(f"{name}@pod-1", concurrency=4, queues=["email"], now=1)
    state.apply([event("worker-heartbeat", active=3)], 1)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_worker_up", hostname="pod-1") == 1
    assert value(seen, "celery_worker_tasks_active", hostname="pod-1") == 3
    assert value(seen, "celery_worker_concurrency", hostname="pod-1") == 8
    assert value(seen, "celery_active_worker_count", queue_name="email") == 2
    assert value(seen, "celery_active_process_count", queue_name="email") == 8


def test_a_process_count_of_which_a_part_is_not_known_is_not_known(state: State) -> None:
    state.answered("io@pod-1", concurrency=4, queues=["email"], now=1)
    state.answered("io@pod-2", concurrency=None, queues=["email"], now=1)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_active_worker_count", queue_name="email") == 2
    assert value(seen, "celery_active_process_count", queue_name="email") is None
    assert value(seen, "celery_worker_concurrency", hostname="pod-1") == 4
    assert value(seen, "celery_worker_concurrency", hostname="pod-2") is None


@pytest.mark.parametrize(
    ("up", "count"), [({"workers": True}, 0), ({"workers": False}, None), ({}, None)]
)
def test_a_queue_without_workers_has_none_once_they_were_asked(
    state: State, up: dict[str, bool], count: int | None
) -> None:
    state.answered("io@pod-1", concurrency=4, queues=["other-queue"], now=1)
    seen = samples_of(page_of(state, health=Health(up=up)))
    for name in ("celery_active_worker_count", "celery_active_process_count"):
        assert value(seen, name, queue_name="email") == count
    state.apply([event("task-received", hostname="io@pod-2")], 1)
    seen = samples_of(page_of(state, health=Health(up=up)))
    assert value(seen, "celery_active_worker_count", queue_name="email") is None


def test_of_a_queue_of_which_no_worker_tells_it_is_not_known_what_runs(state: State) -> None:
    for now in (0, 10, 20):
        state.apply([event("task-sent", f"id-{now}", queue="email")], now)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_queue_arrivals_per_second", queue_name="email") == 0.1
    for queue in ("email", "default"):
        for name in ("celery_queue_running_tasks", "celery_queue_completions_per_second"):
            assert value(seen, name, queue_name=queue) is None
    state.apply([event("task-received", "id-0"), event("task-started", "id-0")], 21)
    seen = samples_of(page_of(state))
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 1


def test_a_worker_that_is_down_says_so_and_counts_for_nothing(state: State) -> None:
    state.answered("io@pod-1", concurrency=4, queues=["email"], now=0)
    seen = samples_of(page_of(state, now=LOST_AFTER_SECONDS + 1))
    assert value(seen, "celery_worker_up", hostname="pod-1") == 0
    assert value(seen, "celery_worker_concurrency", hostname="pod-1") is None
    assert value(seen, "celery_active_worker_count", queue_name="email") is None


def test_what_is_not_known_is_not_there_and_that_is_said(state: State) -> None:
    reading = Reading(depths={"email": Depth(ready=0)}, unread={"email.dead": "NOT_FOUND"})
    seen = samples_of(
        page_of(state, reading=reading, health=Health(up={"broker": True, "events": False}))
    )
    assert value(seen, "celery_queue_length", queue_name="email") == 0
    for name in (
        "celery_active_consumer_count",
        "celery_queue_unacked_messages",
        "celery_dead_letter_queue_length",
        "celery_queue_held_dead_letters",
        "celery_queue_oldest_message_age_seconds",
        "celery_queue_arrivals_per_second",
    ):
        assert value(seen, name, queue_name="email") is None
    assert value(seen, "celery_broker_unacked_messages") is None
    assert value(seen, "celery_exporter_queue_up", queue_name="email") == 1
    assert value(seen, "celery_exporter_queue_up", queue_name="email.dead") == 0
    assert value(seen, "celery_exporter_up", source="broker") == 1
    assert value(seen, "celery_exporter_up", source="events") == 0


def test_what_the_broker_tells_is_there(state: State) -> None:
    reading = Reading(
        depths={
            "email": Depth(ready=5, unacked=2, consumers=3, held_dead=4),
            "email.dead": Depth(ready=7, unacked=0, consumers=0),
        }
    )
    seen = samples_of(page_of(state, reading=reading, oldest_seconds={"email": 12.5}))
    expected = {
        "celery_queue_length": 5,
        "celery_active_consumer_count": 3,
        "celery_queue_unacked_messages": 2,
        "celery_dead_letter_queue_length": 7,
        "celery_queue_held_dead_letters": 4,
        "celery_queue_oldest_message_age_seconds": 12.5,
    }
    for name, number in expected.items():
        assert value(seen, name, queue_name="email") == number
    assert value(seen, "celery_queue_length", queue_name="email.dead") is None
    assert value(seen, "celery_broker_unacked_messages") == 2


def test_what_all_workers_hold_is_known_where_the_broker_has_one_number_for_it(
    state: State,
) -> None:
    reading = Reading(depths={"email": Depth(ready=5)}, unacked=9)
    assert value(samples_of(page_of(state, reading=reading)), "celery_broker_unacked_messages") == 9


def test_a_queue_of_rabbitmq_tells_of_its_copies_and_its_dead_letters_of_theirs(
    state: State,
) -> None:
    copies = Depth(ready=0, members=3, online_members=2)
    reading = Reading(depths={"email": copies, "email.dead": copies, "classic": Depth(ready=0)})
    seen = samples_of(page_of(state, reading=reading))
    for queue in ("email", "email.dead"):
        assert value(seen, "celery_queue_members", queue_name=queue) == 3
        assert value(seen, "celery_queue_online_members", queue_name=queue) == 2
    assert value(seen, "celery_queue_members", queue_name="classic") is None


def test_a_queue_for_countdowns_tells_of_what_is_due_and_still_there(state: State) -> None:
    seen = samples_of(page_of(state, reading=Reading(held_delayed={"celery_delayed_4": 2})))
    held = "celery_delay_queue_held_messages"
    assert value(seen, held, queue_name="celery_delayed_4") == 2
    assert value(seen, held, queue_name="celery_delayed_5") is None


def test_what_was_shed_cut_and_foreign_is_said(state: State) -> None:
    state.apply([{"type": "mine"}], 1)
    health = Health(events={"shed": 4, "unreadable": 5, "decoded": 1}, buffered=6)
    seen = samples_of(page_of(state, health=health))
    for outcome, count in {"shed": 4, "unreadable": 5, "decoded": 1, "foreign": 1}.items():
        assert value(seen, "celery_exporter_events_total", outcome=outcome) == count
    assert value(seen, "celery_exporter_capped_total", label="name") == 0
    assert value(seen, "celery_exporter_buffered_messages") == 6


texts = st.text(max_size=6) | st.text(alphabet='"\\\n{},= \r\t\0\u2028é\ud800?', max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), max_size=6))
def test_whatever_names_come_the_page_can_be_read_and_no_series_comes_twice(
    names: list[tuple[str, str, str]],
) -> None:
    state = State(default_queue="default")
    for number, (name, host, queue) in enumerate(names):
        state.answered(host, concurrency=1, queues=[queue], now=1)
        sent = event("task-sent", str(number), name=name, queue=queue)
        came = event("task-received", str(number), name=name, hostname=host)
        state.apply([sent, came, event("task-started", str(number), hostname=host)], 1)
    page = page_of(state)
    page.encode()
    seen = samples_of(page)
    for kind in ("sent", "received", "started"):
        counts = [seen[each] for each in seen if each[0] == f"celery_task_{kind}_total"]
        assert sum(counts) == len(names)


@pytest.mark.parametrize(
    "name", ['say "hi"', "back\\slash", "new\nline", "ünï ❤", "{a=}", "\ud800"]
)
def test_any_name_of_a_task_and_a_worker_can_be_read_back(state: State, name: str) -> None:
    state.apply(
        [
            event("task-received", name=name, hostname=f"w@{name}"),
            event("worker-heartbeat", hostname=f"w@{name}"),
        ],
        1,
    )
    page = page_of(state)
    page.encode()
    seen = samples_of(page)
    readable = name.encode(errors="replace").decode()
    assert value(seen, "celery_worker_up", hostname=readable) == 1
    assert (
        value(
            seen,
            "celery_task_received_total",
            name=readable,
            hostname=readable,
            queue_name="default",
        )
        == 1
    )
