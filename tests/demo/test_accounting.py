"""What a run reports, computed without a database."""

from datetime import UTC, datetime, timedelta

from shop.accounting import Account, Expected, Record

START = datetime(2026, 1, 1, tzinfo=UTC)


def done(task_id: str, *, seconds: float | None = 1, name: str = "t", **values: object) -> Record:
    """Make the record of a task that has succeeded `seconds` after it was sent."""
    fields = {"queue": "q", "group": "io", "starts": 1, **values}
    finished = None if seconds is None else START + timedelta(seconds=seconds)
    return Record(
        task_id=task_id,
        name=name,
        state="succeeded",
        sent_at=START,
        finished_at=finished,
        **fields,  # type: ignore[arg-type]
    )


def test_progress_counts_tasks_not_attempts() -> None:
    records = [
        done("a", retries=3),
        Record(task_id="b", name="t", queue="q", state="failed", sent_at=START),
        Record(task_id="c", name="t", queue="q", state="started", sent_at=START),
    ]
    expected = [Expected(task_id, "t", "q") for task_id in "abcd"]
    assert Account.of(expected, records).progress() == {
        "sent": 3,
        "done": 1,
        "failed": 1,
        "retried": 1,
        "expected": 4,
    }


def test_a_task_whose_acceptance_is_not_known_is_not_counted_as_sent() -> None:
    record = Record(task_id="a", name="t", queue="q", state="succeeded")
    assert Account.of([], [record]).progress()["sent"] == 0


def test_tasks_that_came_along_are_expected_too() -> None:
    account = Account.of([Expected("a", "t", "q")], [done("a"), done("handler")])
    assert account.progress()["expected"] == 2


def test_there_is_one_row_for_each_queue_group_and_task() -> None:
    records = [done("a"), done("b"), done("c", group="cpu"), done("d", name="other")]
    rows = [(r["queue"], r["group"], r["task"], r["done"]) for r in Account.of([], records).rows()]
    assert rows == [("q", "cpu", "t", 1), ("q", "io", "other", 1), ("q", "io", "t", 2)]


def test_a_row_sums_what_its_tasks_did() -> None:
    records = [
        done("a", seconds=1, retries=2, starts=3),
        done("b", seconds=2, duplicates=1, starts=2),
        done("c", seconds=10),
        Record(task_id="d", name="t", queue="q", group="io", state="failed", sent_at=START),
    ]
    assert Account.of([], records).rows() == [
        {
            "queue": "q",
            "group": "io",
            "task": "t",
            "sent": 4,
            "starts": 6,
            "done": 3,
            "failed": 1,
            "retried": 2,
            "duplicates": 1,
            "p50_seconds": 2.0,
            "max_seconds": 10.0,
        }
    ]


def test_an_unknown_duration_is_none_and_never_zero() -> None:
    (row,) = Account.of([], [done("a", seconds=None)]).rows()
    assert (row["p50_seconds"], row["max_seconds"]) == (None, None)


def test_a_failed_task_has_no_duration() -> None:
    record = Record(
        task_id="a", name="t", queue="q", state="failed", sent_at=START, finished_at=START
    )
    assert record.seconds is None


def test_undone_tasks_come_with_state_and_reason() -> None:
    expected = [Expected("a", "t", "q"), Expected("b", "t", "q"), Expected("c", "u", "q", ("b",))]
    failed = Record(task_id="b", name="t", queue="q", state="failed", reason="ValueError('x')")
    assert Account.of(expected, [failed]).undone() == [
        {
            "task_id": "a",
            "task": "t",
            "queue": "q",
            "state": "unsent",
            "reason": "the broker has not accepted it",
        },
        {
            "task_id": "b",
            "task": "t",
            "queue": "q",
            "state": "failed",
            "reason": "ValueError('x')",
        },
        {
            "task_id": "c",
            "task": "u",
            "queue": "q",
            "state": "blocked",
            "reason": "needs b, which failed",
        },
    ]


def test_a_task_that_waits_for_a_blocked_one_is_blocked_itself() -> None:
    failed = Record(task_id="a", name="t", queue="q", state="failed")
    chain = [Expected("b", "t", "q", ("a",)), Expected("c", "t", "q", ("b",))]
    account = Account.of([Expected("a", "t", "q"), *chain], [failed])
    assert account.state("c") == "blocked"


def test_a_done_run_has_nothing_undone() -> None:
    assert Account.of([Expected("a", "t", "q")], [done("a")]).undone() == []
