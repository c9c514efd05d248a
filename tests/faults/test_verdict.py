"""What is told of a run, from lines that are made up."""

from datetime import UTC, datetime, timedelta

from tests.faults.verdict import Line, judge, silence_seconds

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(task: str, *, sent: float | None = 0, done: float | None = 1, **more: object) -> Line:
    values = {
        "queue": "default",
        "poison": False,
        "retries": 0,
        "starts": int(done is not None),
        "effects": int(done is not None),
        "repeated": 0,
        **more,
    }
    return Line(task_id=task, sent_at=_at(sent), finished_at=_at(done), **values)  # type: ignore[arg-type]


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


def test_what_was_accepted_is_done_or_dead_or_stuck_or_lost() -> None:
    done, dead, stuck, lost = line("done"), *(line(n, done=None) for n in ("dead", "stuck", "lost"))
    verdict = judge([done, dead, stuck, lost], {"dead": "rejected"}, {"stuck"})
    assert (verdict.accepted, verdict.done, verdict.dead) == (4, 1, {"rejected": 1})
    assert (verdict.stuck, verdict.lost) == (["stuck"], ["lost"])
    assert judge([done, dead], {"dead": "rejected"}).kept
    assert not judge([stuck], {}, {"stuck"}).kept
    assert not judge([lost], {}).kept


def test_a_dead_letter_without_a_reason_is_no_account() -> None:
    assert judge([line("dead", done=None)], {"dead": ""}).lost == ["dead"]


def test_it_is_told_which_of_the_dead_do_not_kill_and_which_were_done() -> None:
    lines = [line("poison", done=None, poison=True), line("chance", done=None), line("done")]
    verdict = judge(lines, dict.fromkeys(("poison", "chance", "done"), "delivery_limit"))
    assert verdict.dead == {"delivery_limit": 2}
    assert (verdict.dead_by_chance, verdict.done, verdict.done_and_dead) == (["chance"], 1, 1)


def test_what_a_chord_leads_to_is_lost_unless_a_part_of_it_died() -> None:
    body, done = line("a", done=None), line("a.0")
    assert judge([body, done], {}).lost == ["a"]
    verdict = judge([body, done, line("a.1", done=None)], {"a.1": "delivery_limit"})
    assert (verdict.dead, verdict.kept) == ({"part_died": 1, "delivery_limit": 1}, True)
    # It was done before it died, and told who counts.
    assert judge([body, done], {"a.0": "delivery_limit"}).lost == ["a"]


def test_what_was_not_confirmed_is_neither_accepted_nor_lost() -> None:
    verdict = judge([line("never came", sent=None, done=None), line("came", sent=None)], {})
    assert (verdict.accepted, verdict.unconfirmed, verdict.lost) == (0, 1, [])
    assert verdict.kept


def test_a_second_effect_is_a_broken_promise_and_a_second_start_is_not() -> None:
    verdict = judge([line("twice", starts=2, repeated=1)], {})
    assert verdict.kept
    assert (verdict.redelivered, verdict.repeated) == (1, 1)
    assert judge([line("twice", effects=2)], {}).doubled == ["twice"]


def test_a_start_that_a_task_asked_for_is_no_redelivery() -> None:
    verdict = judge([line("retried", starts=4, retries=2), line("once")], {})
    assert (verdict.retried, verdict.redelivered) == (1, 1)


def test_silence_is_the_longest_time_in_which_a_queue_finished_nothing() -> None:
    lines = [
        line("before", done=9),
        line("slips through", done=11),
        line("first", done=14),
        line("other", done=12, queue="email"),
        line("after the end", done=31, queue="email"),
    ]
    at, until = START + timedelta(seconds=10), START + timedelta(seconds=20)
    assert silence_seconds(at, until, lines) == 8
    assert silence_seconds(at, until, lines[:3]) == 6
    unconfirmed = line("unconfirmed", sent=None, done=12, queue="0.1.1.default")
    assert silence_seconds(at, until, [*lines[:3], unconfirmed]) == 6
