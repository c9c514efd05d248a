"""What RabbitMQ holds back, from what it tells of its queues."""

from tests.faults.held import COLUMNS, Held, held_of, stuck

LEADER = "rabbit@jobs-rabbitmq-1.jobs-rabbitmq-nodes.shop.svc.cluster.local"


def test_what_is_neither_ready_nor_taken_is_held() -> None:
    rows = [("email", 12, 3, 2, LEADER), ("default", 5, 3, 2, LEADER), ("email.dead", 0, 0, 0, "")]
    told = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert held_of(told) == {"email": Held(7, "jobs-rabbitmq-1")}


def test_what_nobody_moves_only_gets_more() -> None:
    def look(**messages: int) -> dict[str, Held]:
        return {name: Held(number, "jobs-rabbitmq-0") for name, number in messages.items()}

    moved = [look(delayed=3, email=1, new=0), look(delayed=4, email=1), look(delayed=2, new=1)]
    assert stuck(moved) == {}
    assert stuck([look(email=1), look(email=1)]) == {}
    kept = [look(delayed=1), *moved[:2], look(delayed=4, email=2)]
    assert stuck(kept) == look(delayed=4, email=2)
