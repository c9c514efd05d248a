"""The exporter as a process, beside a real worker on a real Redis."""

import pytest
from celery import Celery

from tests.exporter.conftest import StartExporter
from tests.runtime.conftest import Mounted, Start, wait_until
from tests.runtime.redisserver import RedisServer

TASK = {"name": "tiny.work", "queue_name": "email"}


def test_a_task_is_seen_from_its_sending_to_its_end(
    exporter: StartExporter, worker: Start, producer: Celery, reachable: Mounted
) -> None:
    reachable.settings["config"] |= {"worker_send_task_events": True, "task_send_sent_event": True}
    reachable.write()
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    producer.conf.task_send_sent_event = True
    producer.send_task("tiny.work", (0,), queue="email")
    watching.wait_for(1, "celery_queue_length", queue_name="email")
    assert watching.value("celery_queue_length", queue_name="default") == 0
    worker("prefork").wait_for("ready", 200)
    watching.wait_for(1, "celery_task_total", status="success")
    seen = watching.samples()
    host = next(dict(labels)["hostname"] for name, labels in seen if name == "celery_worker_up")
    assert watching.value("celery_task_sent_total", **TASK) == 1
    for kind in ("received", "started", "succeeded"):
        assert watching.value(f"celery_task_{kind}_total", hostname=host, **TASK) == 1
    assert watching.value("celery_task_runtime_count", **TASK) == 1
    assert watching.value("celery_task_queue_wait_time_count", **TASK) == 1
    watching.wait_for(0, "celery_queue_running_tasks", queue_name="email")


@pytest.mark.usefixtures("reachable")
def test_workers_tell_their_concurrency_and_their_queues(
    exporter: StartExporter, worker: Start
) -> None:
    worker("gevent").wait_for("ready", 200)
    watching = exporter()
    watching.wait_for(2, "celery_active_process_count", queue_name="email")
    assert watching.value("celery_active_worker_count", queue_name="email") == 1


def test_a_broker_that_goes_away_and_comes_back_is_said_and_waited_for(
    exporter: StartExporter, frail_redis: RedisServer, mounted: Mounted
) -> None:
    frail_redis.start()
    mounted.secret("results/url", f"{frail_redis.url}/0")
    mounted.settings["broker"] = {"kind": "redis"}
    mounted.secret("broker/url", f"{frail_redis.url}/1")
    mounted.write()
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    watching.wait_for(0, "celery_queue_length", queue_name="default")
    frail_redis.stop()
    watching.wait_for(0, "celery_exporter_up", source="events")
    watching.wait_for(0, "celery_exporter_up", source="broker")
    assert watching.value("celery_queue_length", queue_name="default") is None
    assert watching.value("celery_exporter_queue_up", queue_name="default") == 0
    assert watching.get("/live")[0] == watching.get("/ready")[0] == 200
    frail_redis.start()
    watching.wait_for(1, "celery_exporter_up", source="events")
    watching.wait_for(0, "celery_queue_length", queue_name="default")


def test_what_is_no_event_is_counted_and_said_once(
    exporter: StartExporter, producer: Celery
) -> None:
    watching = exporter()
    watching.wait_for(1, "celery_exporter_up", source="events")
    with producer.connection_for_write() as connection:
        for junk in (b"junk", b"{}", b"\xff"):
            connection.default_channel.client.publish("/1.celeryev/task.sent", junk)
    watching.wait_for(3, "celery_exporter_events_total", outcome="unreadable")
    assert watching.log.read_text().count("is no event") == 1


@pytest.mark.usefixtures("reachable")
def test_it_ends_at_sigterm(exporter: StartExporter) -> None:
    watching = exporter()
    watching.process.terminate()
    wait_until(lambda: watching.process.poll() == 0, "it has ended")


def test_without_settings_it_says_what_to_mount(exporter: StartExporter, mounted: Mounted) -> None:
    (mounted.path / "settings.json").unlink()
    with pytest.raises(AssertionError, match=r"There is no settings\.json in"):
        exporter()
