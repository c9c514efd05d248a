"""What RabbitMQ holds back, from what it tells of its queues."""

from tests.faults.held import COLUMNS, Held, held_of

LEADER = "rabbit@jobs-rabbitmq-1.jobs-rabbitmq-nodes.shop.svc.cluster.local"


def test_what_is_neither_ready_nor_taken_is_held() -> None:
    rows = [("email", 12, 3, 2, LEADER), ("default", 5, 3, 2, LEADER), ("email.dead", 0, 0, 0, "")]
    told = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert held_of(told) == {"email": Held(7, "jobs-rabbitmq-1")}
