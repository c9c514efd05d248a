"""What a worker counts, bounded."""

from celery_runtime.health import tally
from celery_runtime.health.tally import OTHER, Tally


def test_names_beyond_the_bound_share_a_row() -> None:
    counted = Tally()
    for number in range(tally.MOST_ROWS + 10):
        counted.received(counted.begin(f"task-{number}", "default"))
    page = counted.as_dict(after=0)
    rows = {(row["name"], row["queue"]): row["received"] for row in page["tasks"]}
    assert len(rows) == tally.MOST_ROWS + 1
    assert rows[OTHER, OTHER] == 10
    assert sum(rows.values()) == tally.MOST_ROWS + 10


def test_queues_and_exceptions_beyond_the_bound_are_counted_as_others() -> None:
    counted = Tally()
    life = counted.begin("task", "default")
    for number in range(tally.MOST_QUEUES + 10):
        counted.fetched(f"queue-{number}")
        counted.raised(life, f"Error{number}")
    page = counted.as_dict(after=0)
    assert len(page["fetched"]) == tally.MOST_QUEUES + 1
    assert page["fetched"][OTHER] == 10
    assert page["tasks"][0]["failures"][OTHER] == tally.MOST_QUEUES + 10 - tally.MOST_EXCEPTIONS


def test_only_the_latest_ends_are_kept() -> None:
    counted = Tally()
    for _ in range(tally.RECENT_ENDS + 10):
        counted.ended(counted.begin("task", "default"), "succeeded", ran_seconds=1)
    numbers = [end.number for end in counted.as_dict(after=0)["ended"]["tasks"]]
    assert numbers == list(range(11, tally.RECENT_ENDS + 11))
    assert len(counted.as_dict(after=tally.RECENT_ENDS)["ended"]["tasks"]) == 10


def test_who_asks_after_a_number_of_before_the_restart_gets_all() -> None:
    counted = Tally()
    counted.ended(counted.begin("task", "default"), "succeeded", ran_seconds=1)
    assert len(counted.as_dict(after=500)["ended"]["tasks"]) == 1


def test_a_task_ends_once_however_often_it_is_told_of() -> None:
    counted = Tally()
    life = counted.begin("task", "default")
    counted.ended(life, "failed", ran_seconds=1)
    counted.ended(life, "rejected", ran_seconds=1)
    page = counted.as_dict(after=0)
    assert page["tasks"][0]["ended"] == len(page["ended"]["tasks"]) == 1


def test_a_task_that_never_ran_has_no_duration() -> None:
    counted = Tally()
    counted.ended(counted.begin("task", "default"), "revoked", ran_seconds=None)
    assert counted.as_dict(after=0)["ended"] == {"last": 0, "tasks": []}


def test_each_start_is_another() -> None:
    assert Tally().start != Tally().start
