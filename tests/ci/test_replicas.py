"""What is told of worker groups while the demonstration runs."""

from collections.abc import Callable
from itertools import chain, repeat

import pytest

from ci import replicas
from ci.replicas import Replicas


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Replicas]:
    """Return what looks at these numbers of pods of one group, one look after the other."""
    monkeypatch.setattr(replicas, "LOOK_SECONDS", 0)

    told: list[str] = []

    def made(*counts: int) -> Replicas:
        looks = chain(counts, repeat(counts[-1]))
        return Replicas(lambda: {"cpu": next(looks), "io": 1}, tell=told.append)

    return made


def test_a_group_that_came_and_went_is_told_by_its_changes(
    looking: Callable[..., Replicas],
) -> None:
    pods = looking(0, 0, 1, 3, 3, 0, 0)
    assert pods.wait(pods.came_and_went, within_seconds=1)
    assert str(pods) == "cpu 0 → 1 → 3 → 0, io 1"


@pytest.mark.parametrize("counts", [(0, 2), (1, 0), (0,), (2, 0, 1)])
def test_half_of_the_way_is_not_the_way(
    looking: Callable[..., Replicas], counts: tuple[int, ...]
) -> None:
    pods = looking(*counts)
    assert not pods.wait(pods.came_and_went, within_seconds=0.05)


def test_a_group_without_pods_rests(looking: Callable[..., Replicas]) -> None:
    pods = looking(2, 1, 0)
    pods.look()
    assert not pods.rests()
    assert pods.wait(pods.rests, within_seconds=1)


def test_no_pods_is_written_as_nothing() -> None:
    assert replicas.parsed("cpu=2\nio=\n") == {"cpu": 2, "io": 0}
