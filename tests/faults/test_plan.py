"""Which faults a seed chooses."""

from tests.faults.strikes import ALL, plan


def test_a_seed_chooses_the_same_faults_and_each_at_least_once() -> None:
    chosen = plan(7, 40, ALL)
    assert chosen == plan(7, 40, ALL)
    assert chosen != plan(8, 40, ALL)
    assert set(chosen) == set(ALL)
    assert len(chosen) == 40
