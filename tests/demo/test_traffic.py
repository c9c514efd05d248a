"""What a run under fire sends."""

from collections import Counter

from shop.traffic import POISONED, SHARES, Wish, wishes

COUNT, POISON, LONGEST_SECONDS = 2000, 7, 60.0


def traffic(seed: int) -> list[Wish]:
    return list(wishes(seed, COUNT, poison=POISON, longest_seconds=LONGEST_SECONDS))


def test_a_seed_makes_the_same_tasks_and_another_seed_others() -> None:
    assert traffic(1) == traffic(1)
    assert traffic(1) != traffic(2)


def test_every_queue_gets_its_share_and_poison_the_one_where_it_kills_nobody_else() -> None:
    made = traffic(3)
    by_queue = Counter(wish.queue for wish in made if not wish.poison)
    for queue, share in SHARES.items():
        assert abs(100 * by_queue[queue] / COUNT - share) < 3
    assert [wish.queue for wish in made if wish.poison] == [POISONED] * POISON


def test_tasks_take_from_milliseconds_to_the_longest() -> None:
    made = traffic(4)
    seconds = sorted(wish.seconds for wish in made if not wish.poison)
    assert 0.009 < seconds[0] < 0.02
    assert seconds[len(seconds) // 2] < 0.3
    assert 10 < seconds[-1] <= LONGEST_SECONDS
    assert max(wish.seconds for wish in made if wish.queue == POISONED) <= 5
