"""What a soak does not pass with."""

from collections.abc import Iterable

import pytest

from tests.soak.samples import read
from tests.soak.verdict import MAY_GROW, Sample, Samples, judge

#: Two looks a minute, for an hour, in which nothing happens.
LOOKS = 121


def _sample(**figures: object) -> Sample:
    steady = {"uid": "a", "mib": 100.0, "files": 20, "sockets": 10}
    return Sample(**(steady | figures))  # type: ignore[arg-type]


def _samples(looks: Iterable[Sample | None], pod: str = "worker") -> Samples:
    """One pod beside one of which nothing is to be said; None is a look without it."""
    return [
        (number / 2, {"beat": _sample(uid="b"), **({pod: sample} if sample else {})})
        for number, sample in enumerate(looks)
    ]


def test_what_stays_as_it_is_passes() -> None:
    assert judge(_samples(_sample(mib=100 + number % 3) for number in range(LOOKS))) == []


def test_what_grows_does_not_but_where_it_may() -> None:
    looks = [_sample(mib=100 + 0.1 * number, files=20 + number) for number in range(LOOKS)]
    assert judge(_samples(looks)) == ["worker: mib grow by 9.6", "worker: files grow by 96.0"]
    assert judge(_samples(looks, MAY_GROW)) == []


def test_growth_in_the_warm_up_is_none() -> None:
    assert judge(_samples(_sample(mib=100 + 5 * min(number, 24)) for number in range(LOOKS))) == []


@pytest.mark.parametrize("missed", [3, 60, LOOKS - 1])
@pytest.mark.parametrize("there", [None, _sample(mib=0), _sample(files=0)])
def test_a_pod_that_one_look_has_not_seen_does_not_pass(missed: int, there: Sample | None) -> None:
    looks = [there if number == missed else _sample() for number in range(LOOKS)]
    (told,) = judge(_samples(looks))
    assert told == f"worker: not seen at 1 of 121 looks, first at minute {missed / 2:.0f}"


def test_a_pod_that_comes_under_another_name_does_not_pass() -> None:
    first = _samples([_sample()] * 60, "worker-a")
    then = _samples([None] * 60 + [_sample()] * 61, "worker-b")[60:]
    told = judge([*first, *then])
    assert [line.split(",")[0] for line in told] == [
        "worker-a: not seen at 61 of 121 looks",
        "worker-b: not seen at 60 of 121 looks",
    ]


@pytest.mark.parametrize("uids", ["aab", "aba"])
def test_a_pod_that_is_replaced_by_one_of_its_name_does_not_pass(uids: str) -> None:
    looks = [_sample(uid=uids[number // 50]) for number in range(LOOKS)]
    assert judge(_samples(looks)) == ["worker: replaced by another one"]


def test_a_leak_that_ends_in_a_restart_again_and_again_does_not_pass() -> None:
    looks = [_sample(mib=100 + number % 20, restarts=7 + number // 20) for number in range(LOOKS)]
    assert judge(_samples(looks)) == ["worker: 6 restarts"]


def test_restarts_before_the_first_look_are_nothing() -> None:
    assert judge(_samples([_sample(restarts=2)] * LOOKS)) == []


@pytest.mark.parametrize("looks", [0, 1])
def test_a_soak_without_looks_does_not_pass(looks: int) -> None:
    assert judge(_samples([_sample()] * looks)) == ["no pod was judged"]


def test_a_soak_of_what_may_grow_alone_does_not_pass() -> None:
    alone: Samples = [(number / 2, {MAY_GROW: _sample()}) for number in range(LOOKS)]
    assert judge(alone) == ["no pod was judged"]


def _zombies(pids: Iterable[Iterable[int]]) -> list[str]:
    return judge(_samples(_sample(zombies=set(each)) for each in pids))


@pytest.mark.parametrize("begins", [0, 60, LOOKS - 4])
def test_a_zombie_that_stays_for_more_than_a_minute_does_not_pass(begins: int) -> None:
    looks = [[8] if begins <= number < begins + 4 else [] for number in range(LOOKS)]
    assert _zombies(looks) == ["worker: zombies stay: 8"]


def test_processes_that_have_just_ended_are_nothing_at_however_many_looks() -> None:
    assert _zombies([number // 3] for number in range(LOOKS)) == []
    assert _zombies([8] if number % 4 < 3 else [] for number in range(LOOKS)) == []


def test_a_look_has_all_processes_of_each_pod() -> None:
    pods = [
        {
            "metadata": {"name": name, "uid": uid},
            "status": {"containerStatuses": [{"restartCount": times} for times in restarts]},
        }
        for name, uid, restarts in (("beat-1", "1-a", [1, 2]), ("redis-0", "2-b", []))
    ]
    # The last is of another namespace.
    printed = "1_a 17 S 1024 3 1\n1_a 18 Z 0 0 0\n1-a 19 S 512 4 2\n3_c 20 S 1 1 1\n"
    assert read(pods, printed) == {
        "beat-1": Sample(uid="1-a", restarts=3, mib=1.5, files=7, sockets=3, zombies={18}),
        "redis-0": Sample(uid="2-b"),
    }
