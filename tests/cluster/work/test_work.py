"""Work goes to the group that its queue belongs to, and comes back done."""

import itertools

import pytest

from tests.cluster.shop import Shop, eventually


@pytest.mark.parametrize(
    ("queue", "group"),
    [("default", "io"), ("email", "io"), ("high_priority", "io"), ("thumbnails", "cpu")],
)
def test_a_task_runs_in_the_group_that_consumes_its_queue(
    shop: Shop, queue: str, group: str
) -> None:
    (task,) = shop.hold(queue, seconds=0.1)
    shop.until("succeeded", task, within_seconds=30)
    done = shop.task(task)
    assert (done["queue"], done["worker_group"], done["starts"]) == (queue, group, "1")
    assert shop.sql(f"SELECT duplicates FROM shop_hold WHERE task_id = '{task}'") == [["0"]]  # noqa: S608


def test_the_pipelines_of_the_article_are_done_once_each(shop: Shop) -> None:
    report = shop.run("--orders=4", "--gateway-failures=1", "--users=2", "--emails=4", "--photos=2")
    assert report["undone"] == []
    effects = report["effects"]
    assert effects["charges"] == 4
    assert effects["emails_delivered"] == 4
    assert effects["metrics"] == 2
    assert effects["thumbnails"] == 2 * 3
    assert effects["contact_sheets"] == 2
    assert sum(row["retried"] for row in report["rows"]) >= 1
    assert sum(row["duplicates"] for row in report["rows"]) == 0


def test_a_chord_with_a_failing_part_runs_its_error_handler_and_not_its_callback(
    shop: Shop,
) -> None:
    report = shop.run("--scenario=chord-error")
    assert report["effects"]["chord_failures"] == 1
    assert report["effects"]["contact_sheets"] == 0


def test_beat_fires_on_time_and_never_twice(shop: Shop) -> None:
    def ticks() -> list[float]:
        query = "SELECT extract(epoch FROM scheduled_at) FROM shop_tick ORDER BY scheduled_at"
        return [float(row[0]) for row in shop.sql(query)]

    before = len(ticks())
    eventually(lambda: len(ticks()) >= before + 3, within_seconds=60, what="three ticks")
    recent = ticks()[before:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(recent)]
    assert all(8 <= gap <= 13 for gap in gaps), gaps
