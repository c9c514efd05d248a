"""What is told of a run, as one object, and when it counts as survived."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.faults.campaign import Order, Outcome
from tests.faults.logs import Logs
from tests.faults.verdict import Line, Strike, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = Order(seed=1, tasks=4, faults=3, poison=0, rate=1, longest_seconds=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def line(done: float | None, **more: Any) -> Line:  # noqa: ANN401 # each field's own
    told = {
        "task_id": str(done),
        "queue": "default",
        "poison": False,
        "sent_at": START,
        "finished_at": None if done is None else at(done),
        "starts": 1,
        "retries": 0,
        "effects": int(done is not None),
        "repeated": 0,
    }
    return Line(**{**told, **more})


def outcome(
    lines: Sequence[Line],
    strikes: Sequence[Strike],
    **more: Any,  # noqa: ANN401 # each field's own
) -> Outcome:
    told = {
        "order": ORDER,
        "verdict": judge(lines, {}),
        "strikes": list(strikes),
        "lines": list(lines),
        "held": {},
        "ticks": [at(0), at(10)],
        "error": "",
        "logs": cast("Logs", None),
        "sent_at": at(14),
        "seconds": 20,
    }
    return Outcome(**{**told, **more})


def struck(*names_and_times: tuple[str, float]) -> list[Strike]:
    return [Strike(name, at(time), at(time)) for name, time in names_and_times]


SURVIVED = outcome(
    [line(done) for done in (1, 2, 8, 12)], struck(("nothing", 0), ("a", 1), ("b", 2), ("a", 3))
)


def test_a_fault_that_could_not_be_struck_is_told_and_has_no_silence() -> None:
    figures = outcome([line(1)], [Strike("a", at(0), at(1), "gone")]).figures()
    assert (figures["struck"], figures["missed"]) == (0, ["a: gone"])
    assert figures["silence"] == {}


def test_each_kind_of_fault_has_its_silences_until_the_next_one_or_the_end_of_the_traffic() -> None:
    lines = [line(done) for done in (1, 2, 8, 12, 13)]
    strikes = struck(("a", 0), ("b", 10), ("a", 30))
    figures = outcome(lines, strikes, held={"email": 2}).figures()
    # From 2 to 8; from 10 to 12. The last fault struck when nothing was sent any more.
    assert figures["silence"] == {
        "a": {"times": 1, "median_seconds": 6, "max_seconds": 6},
        "b": {"times": 1, "median_seconds": 2, "max_seconds": 2},
    }
    assert (figures["accepted"], figures["lost"], figures["held"]) == (5, [], {"email": 2})


def test_faults_that_came_at_once_have_one_silence_under_a_name_of_their_own() -> None:
    lines = [line(done) for done in (1, 2, 8, 12, 13)]
    figures = outcome(lines, struck(("a", 0), ("b", 0), ("a", 10))).figures()
    assert figures["struck"] == 3
    assert figures["silence"] == {
        "two at once": {"times": 1, "median_seconds": 6, "max_seconds": 6},
        "a": {"times": 1, "median_seconds": 2, "max_seconds": 2},
    }


def test_it_is_told_how_far_beats_ticks_were_apart() -> None:
    ticks = [at(0), at(10), at(34), at(40)]
    figures = outcome([line(1)], struck(("nothing", 0)), ticks=ticks).figures()
    assert figures["beat"] == {"ticks": 4, "least_seconds": 6, "most_seconds": 24}


def test_what_died_is_told_by_its_reason() -> None:
    verdict = judge([line(None)], {"None": "delivery_limit"})
    figures = outcome([line(None)], struck(("nothing", 0)), verdict=verdict).figures()
    assert figures["dead"] == {"delivery_limit": 1}


def test_a_run_in_which_all_was_struck_and_done_is_survived() -> None:
    assert SURVIVED.shortcomings == []
    assert SURVIVED.figures()["struck"] == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verdict": judge([line(None)] * 4, {})}, "4 tasks are lost"),
        ({"verdict": judge([line(None)] * 4, {}, {"None"})}, "4 tasks are stuck"),
        ({"verdict": judge([line(1, effects=2)] * 4, {})}, "4 tasks were done twice"),
        ({"verdict": judge([line(1), line(2)], {})}, "only 2 of 4 tasks were accepted"),
        ({"verdict": judge([line(None)] * 4, {"None": "rejected"})}, "4 tasks died that do not"),
        ({"ticks": [at(0), at(121)], "sent_at": at(130)}, "beat was silent for 121 s"),
        ({"ticks": [at(0)], "sent_at": at(122)}, "beat was silent for 122 s"),
        ({"ticks": []}, "beat was silent for inf s"),
        ({"error": "no answer"}, "the producer gave up: no answer"),
        ({"strikes": struck(("a", 0), ("b", 1))}, "only 2 of 3 faults were struck"),
        (
            {"strikes": [*SURVIVED.strikes[:-1], Strike("a", at(3), at(4), "gone")]},
            "1 faults could not be struck",
        ),
    ],
)
def test_a_run_that_falls_short_says_of_what(change: dict[str, Any], sentence: str) -> None:
    (found,) = replace(SURVIVED, **change).shortcomings
    assert found.startswith(sentence)
