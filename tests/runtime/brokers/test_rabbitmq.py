"""What only RabbitMQ has."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import mean

import pytest
from kombu.exceptions import OperationalError

from celery_runtime import sending
from celery_runtime.deadletter import record
from celery_runtime.deadletter.burial import bury
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import OpenShop, Shop
from tests.runtime.conftest import CHART_POOLS, Mounted


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_on_rabbitmq_five_and_more_go_before_four_and_less(shop: Shop) -> None:
    normal = [shop.send("send_email", f"{n}", priority=4) for n in range(20)]
    urgent = [shop.send("send_email", f"{n}", priority=5) for n in range(20)]
    service = shop.start("prefork", concurrency=1)
    done = {result.id: result.get(timeout=20) and result.date_done for result in normal + urgent}
    order = sorted(done, key=lambda id_: done[id_])
    places = {id_: place for place, id_ in enumerate(order)}
    # Up to 4.2 two urgent messages go before each normal one, from 4.3 on all of them.
    ahead = mean(places[result.id] for result in normal) - mean(
        places[result.id] for result in urgent
    )
    assert ahead >= 5
    assert service.stop() == 0


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_send_that_a_stuck_rabbitmq_does_not_confirm_ends_with_an_error(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CONFIRM_SECONDS", 1)
    shop.send("send_email", "the connection is made")
    with ThreadPoolExecutor() as threads:
        shop.server.pause()
        try:
            sent = threads.submit(shop.send, "send_email", "nobody confirms this")
            assert isinstance(sent.exception(timeout=60), OperationalError)
        finally:
            shop.server.resume()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_send_to_a_rabbitmq_apart_from_its_majority_ends_with_the_same_error(shop: Shop) -> None:
    with apart(shop), pytest.raises(OperationalError, match="INTERNAL_ERROR"):
        shop.send("send_email", "its queue is not declared")
    result = shop.send("send_email", "it is declared")
    service = shop.worker("prefork")
    shop.wait_for_runs(result, 1)
    assert service.stop() == 0


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("pool", CHART_POOLS)
def test_a_retry_that_the_broker_does_not_take_is_not_the_task_s_death(
    shop: Shop, pool: str
) -> None:
    server = shop.server
    assert isinstance(server, servers.Container)
    service = shop.worker(pool)
    charge = shop.begun("charge_customer", 7, 1, 1, 2)
    may_write = ("rabbitmqctl", "set_permissions", "celery", ".*", "{}", ".*")
    server.execute(*(word.format("^$") for word in may_write))
    try:
        shop.wait_for_runs(charge, 2)
    finally:
        server.execute(*(word.format(".*") for word in may_write))
    assert charge.get(timeout=30) == 7
    assert service.stop() == 0


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_countdown_before_any_worker_has_been_there_is_kept(
    shop: Shop, mounted: Mounted, open_shop: OpenShop
) -> None:
    server, vhost = shop.server, "nobody has been here"
    assert isinstance(server, servers.Container)
    server.execute("rabbitmqctl", "add_vhost", vhost)
    server.execute("rabbitmqctl", "set_permissions", "-p", vhost, "celery", ".*", ".*", ".*")
    mounted.settings["broker"]["vhost"] = vhost
    mounted.write()
    shop = open_shop(mounted, server)
    later = shop.send("send_email", "later", countdown=1)
    now = shop.send("send_email", "now")
    service = shop.worker("prefork")
    assert [later.get(timeout=20), now.get(timeout=20)] == ["later", "now"]
    assert service.stop() == 0


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_message_stays_where_a_rabbitmq_apart_from_its_majority_takes_no_copy(
    shop: Shop,
) -> None:
    shop.send("send_email", "it dies")
    queue = shop.app.amqp.queues[shop.app.conf.task_default_queue]
    with shop.app.connection_for_read() as connection:
        message = queue(connection.default_channel).get()
        with apart(shop):
            assert not bury(shop.app, message, reason=record.FAILED)


@contextmanager
def apart(shop: Shop) -> Iterator[None]:
    """Its RabbitMQ serves no metadata meanwhile, as where it does not hear the other nodes."""
    server = shop.server
    assert isinstance(server, servers.Container)
    metadata = "sys:{}(whereis(rabbitmq_metadata))."
    server.execute("rabbitmqctl", "eval", metadata.format("suspend"))
    try:
        yield
    finally:
        server.execute("rabbitmqctl", "eval", metadata.format("resume"))
