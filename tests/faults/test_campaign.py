"""What is told of a run, as one object."""

from datetime import UTC, datetime, timedelta

from tests.faults.campaign import Order, Outcome
from tests.faults.verdict import Line, Strike, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = Order(seed=1, tasks=4, faults=3, poison=0, rate=1, longest_seconds=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def line(done: float) -> Line:
    return Line(
        task_id=str(done),
        queue="default",
        sent_at=START,
        finished_at=at(done),
        starts=1,
        effects=1,
        repeated=0,
    )


def test_a_fault_that_could_not_be_struck_is_told_and_has_no_silence() -> None:
    outcome = Outcome(
        order=ORDER,
        verdict=judge([line(1)], set()),
        strikes=[Strike("a", at(0), at(1), "gone")],
        lines=[line(1)],
        held={},
        told=None,
        sent_at=at(14),
        seconds=20,
    )
    figures = outcome.figures()
    assert (figures["struck"], figures["missed"]) == (0, ["a: gone"])
    assert figures["silence"] == {}


def test_each_kind_of_fault_has_its_silences_until_the_next_one_or_the_end_of_the_traffic() -> None:
    lines = [line(done) for done in (1, 2, 8, 12, 13)]
    times = (0, 10, 30)
    strikes = [Strike(name, at(t), at(t)) for name, t in zip("aba", times, strict=True)]
    outcome = Outcome(
        order=ORDER,
        verdict=judge(lines, set()),
        strikes=strikes,
        lines=lines,
        held={"email": 2},
        told=5,
        sent_at=at(14),
        seconds=20,
    )
    figures = outcome.figures()
    # From 2 to 8; from 10 to 12. The last fault struck when nothing was sent any more.
    assert figures["silence"] == {
        "a": {"times": 1, "median_seconds": 6, "max_seconds": 6},
        "b": {"times": 1, "median_seconds": 2, "max_seconds": 2},
    }
    assert (figures["accepted"], figures["lost"], figures["held"]) == (5, [], {"email": 2})
