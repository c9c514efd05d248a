"""What a task is promised, on every broker and under both pools."""

import signal
import time

from celery import chord

from tests.runtime.brokers.conftest import VISIBILITY_SECONDS, Shop, on_every_broker


@on_every_broker
def test_the_articles_work_is_done_once(shop: Shop, pool: str) -> None:
    service = shop.worker(pool)
    emails = [shop.send("send_email", f"{n}@shop.example") for n in range(20)]
    charge = shop.send("charge_customer", 7, 2, queue=shop.email)
    sent_at = time.time()
    later = shop.send("send_email", "later", countdown=2)
    resize = [shop.app.signature("shop.resize_image", (3, edge)) for edge in (1, 2, 4)]
    sheet = chord(resize)(shop.app.signature("shop.combine_thumbnails"))

    assert [email.get(timeout=20) for email in emails] == [f"{n}@shop.example" for n in range(20)]
    assert sheet.get(timeout=20) == 21
    assert charge.get(timeout=20) == 7
    assert shop.runs(charge) == 3
    assert {way.rpartition(".")[2] for way in shop.ways(charge)} == {shop.email}
    assert later.get(timeout=20) == "later"
    assert time.time() - sent_at >= 2
    assert {shop.runs(result) for result in [*emails, later, *sheet.parent.results]} == {1}
    assert service.stop() == 0


@on_every_broker
def test_a_countdown_holds_up_nobody(shop: Shop, pool: str) -> None:
    # On RabbitMQ nothing can be delayed before a first worker has been there.
    service = shop.worker(pool)
    for _ in range(8):
        shop.send("send_email", "later", countdown=60)
    assert shop.send("send_email", "now").get(timeout=10) == "now"
    service.stop()


@on_every_broker
def test_a_killed_workers_task_is_done_by_another(shop: Shop, pool: str) -> None:
    doomed = shop.worker(pool)
    task = shop.begun("send_email", "survives", 3)
    doomed.process.send_signal(signal.SIGKILL)
    doomed.process.wait()
    shop.worker(pool)
    assert task.get(timeout=VISIBILITY_SECONDS + 40) == "survives"
    assert shop.runs(task) == 2


@on_every_broker
def test_an_outage_of_the_broker_loses_nothing_that_it_took(shop: Shop, pool: str) -> None:
    service = shop.worker(pool)
    running = shop.begun("send_email", "running", 3)
    waiting = [shop.send("send_email", f"waiting {n}", 1) for n in range(4)]
    later = shop.send("send_email", "later", countdown=5)
    shop.server.stop()
    if shop.broker != "sqs":  # silent, not gone
        assert service.wait_for("ready", 503) == "waiting for the broker"
    assert service.probe("live")[0] == 200
    shop.server.start()
    service.wait_for("ready", 200)
    after = shop.send("send_email", "after")
    sent = [running, *waiting, later, after]
    names = ["running", *[f"waiting {n}" for n in range(4)], "later", "after"]
    assert [result.get(timeout=60) for result in sent] == names
    assert service.stop() == 0


@on_every_broker
def test_a_task_and_a_countdown_longer_than_the_visibility_timeout_run_once(
    shop: Shop, pool: str
) -> None:
    services = [shop.start(pool) for _ in range(2)]
    for service in services:
        service.wait_for("ready", 200)
    long = shop.send("send_email", "long", 2.5 * VISIBILITY_SECONDS)
    later = shop.send("send_email", "later", countdown=3 * VISIBILITY_SECONDS)
    assert long.get(timeout=40) == "long"
    assert later.get(timeout=40) == "later"
    time.sleep(VISIBILITY_SECONDS)
    assert (shop.runs(long), shop.runs(later)) == (1, 1)
    assert [service.stop() for service in services] == [0, 0]
