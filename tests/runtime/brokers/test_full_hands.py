"""A gevent worker all of whose slots are taken: ready for the next task, and at rest until then."""

import time

from tests.runtime.brokers.conftest import Shop


def test_a_task_begins_as_soon_as_a_slot_is_free(shop: Shop) -> None:
    service = shop.start("gevent")
    service.wait_for("ready", 200)
    sent = [shop.send("send_email", f"{n}", 0.2) for n in range(20)]
    for result in sent:
        result.get(timeout=60)
    done = sorted(result.date_done for result in sent)
    # Two at once take 2 s. On Redis a worker of kombu's rests for 2 s each time that it is full.
    assert (done[-1] - done[0]).total_seconds() < 6
    assert service.stop() == 0


def test_it_costs_next_to_nothing_to_wait_for_a_slot(shop: Shop) -> None:
    service = shop.start("gevent")
    service.wait_for("ready", 200)
    for running in [shop.send("send_email", f"{n}", 8) for n in range(2)]:
        shop.wait_for_runs(running, 1)
    before = service.cpu_seconds()
    time.sleep(5)
    # On SQS kombu asks again and again whether there is one: a whole core.
    assert service.cpu_seconds() - before < 0.5
    assert service.stop() == 0
