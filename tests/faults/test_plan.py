"""Which faults a seed chooses."""

from itertools import chain

from tests.faults.strikes import ALL, CLIENTS, SERVERS, SHORT, plan


def test_a_seed_chooses_the_same_faults_and_each_once_alone_at_first() -> None:
    chosen = plan(7, 40, ALL)
    assert chosen == plan(7, 40, ALL)
    assert chosen != plan(8, 40, ALL)
    assert {fault for (fault,) in chosen[: len(ALL)]} == set(ALL)


def test_then_some_come_two_at_once_one_of_a_server_and_one_of_a_client() -> None:
    chosen = plan(7, 200, ALL)
    assert len([*chain(*chosen)]) == 200
    later = chosen[len(ALL) :]
    pairs = [each for each in later if len(each) == 2]
    assert len(later) / 5 < len(pairs) < len(later) / 2
    assert all(one in SERVERS and other in CLIENTS for one, other in pairs)
    assert {fault for pair in pairs for fault in pair} == {*SERVERS, *CLIENTS}


def test_only_faults_that_may_come_are_chosen() -> None:
    assert set(chain(*plan(7, 200, SHORT))) == set(SHORT)
    alone = plan(7, 20, SERVERS[:2])
    assert {len(each) for each in alone} == {1}
