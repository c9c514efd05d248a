"""A password of a broker of one's own, whatever it is made of."""

from collections.abc import Iterator

import pytest

from tests.runtime.brokers.bench import Bench, exits
from tests.runtime.brokers.servers import Container
from tests.runtime.conftest import CHART_POOLS

USER, PASSWORD = "special", "p@:/?#%+ é\"'\\w"


@pytest.fixture
def special(rabbitmq: Container, rabbit_bench: Bench) -> Iterator[Bench]:
    """A bench whose workers and producers log in by that password."""
    # As bytes: what a command line is in, RabbitMQ takes from the container's locale.
    secret = ",".join(map(str, PASSWORD.encode()))
    add = f'rabbit_auth_backend_internal:add_user(<<"{USER}">>, <<{secret}>>, <<"tests">>).'
    rabbitmq.execute("rabbitmqctl", "eval", add)
    rabbitmq.execute("rabbitmqctl", "set_permissions", USER, ".*", ".*", ".*")
    rabbit_bench.mounted.secret("broker/username", USER)
    rabbit_bench.mounted.secret("broker/password", PASSWORD)
    yield rabbit_bench
    rabbitmq.execute("rabbitmqctl", "delete_user", USER)


@pytest.mark.parametrize("pool", CHART_POOLS)
def test_rabbitmq_gets_it_as_it_is(special: Bench, rabbitmq: Container, pool: str) -> None:
    worker = special.shipped(pool)
    task = special.producer().send_task("journal.work")
    special.journal.wait("done")
    assert special.journal.entries("done") == [task.id]
    assert USER in rabbitmq.execute("rabbitmqctl", "list_connections", "user").split()
    assert exits(worker, within_seconds=20) == [0]
