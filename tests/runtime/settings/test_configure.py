"""`configure(app)` as a producer calls it."""

import threading
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from celery.schedules import crontab

from celery_runtime import SettingsError, configure

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted


@pytest.fixture
def _mounted(mounted: "Mounted", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))


def test_without_a_mount_nothing_is_touched() -> None:
    app = Celery(broker="memory://")
    send_task = app.send_task
    configure(app)
    assert app.conf.broker_url == "memory://"
    assert app.conf.task_acks_late is False
    assert app.send_task == send_task


@pytest.mark.usefixtures("_mounted")
def test_the_mounted_settings_win_over_the_app_and_leave_the_rest() -> None:
    app = Celery(broker="memory://")
    app.conf.task_acks_late = False
    app.conf.imports = ("shop.tasks",)
    configure(app)
    assert app.conf.broker_url.startswith("amqp://celery:")
    assert app.conf.task_acks_late is True
    assert app.conf.imports == ("shop.tasks",)
    assert set(app.amqp.queues) == {"default", "email"}


@pytest.mark.usefixtures("_mounted")
def test_an_app_that_has_read_its_configuration_is_configured_all_the_same() -> None:
    app = Celery(broker="memory://")
    assert app.conf.broker_url == "memory://"
    configure(app)
    assert app.conf.broker_url.startswith("amqp://celery:")


@pytest.mark.usefixtures("_mounted")
@pytest.mark.parametrize("early", [True, False])
def test_the_order_of_configure_and_config_from_object_does_not_matter(early: bool) -> None:
    own = SimpleNamespace(CELERY_TASK_ACKS_LATE=False, CELERY_TIMEZONE="Europe/Berlin")
    app = Celery()
    if early:
        configure(app)
        assert app.conf.task_acks_late is True
    app.config_from_object(own, namespace="CELERY")
    configure(app)
    assert app.conf.task_acks_late is True
    assert app.conf.timezone == "Europe/Berlin"


@pytest.mark.usefixtures("_mounted")
def test_the_schedule_of_the_app_stays_beside_the_mounted_one(mounted: "Mounted") -> None:
    mounted.settings["beat"] = {"schedule": {"mounted": {"task": "t", "every": 10}}}
    mounted.write()
    app = Celery()
    app.conf.beat_schedule = {"own": {"task": "t", "schedule": crontab()}}
    configure(app)
    assert set(app.conf.beat_schedule) == {"own", "mounted"}


@pytest.mark.usefixtures("_mounted")
def test_a_second_call_changes_nothing_and_no_thread_is_started() -> None:
    app = Celery()
    before = threading.active_count()
    configure(app)
    send_task = app.send_task
    assert app.conf.result_expires == 86400
    app.conf.result_expires = 5
    configure(app)
    assert app.send_task is send_task
    assert app.conf.result_expires == 5
    assert threading.active_count() == before


@pytest.mark.usefixtures("_mounted")
def test_a_short_countdown_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    app = Celery()
    monkeypatch.setattr(app, "send_task", lambda *given, **_: sent.append(given))
    configure(app)
    app.send_task("t", eta=datetime.now(app.timezone), countdown=0.5)
    app.send_task("t", countdown=0.5)
    assert sent[1] == ("t", None, None, 1, None)


@pytest.mark.usefixtures("_mounted")
def test_settings_that_cannot_be_used_are_the_caller_s_to_see(mounted: "Mounted") -> None:
    mounted.settings["queues"] = []
    mounted.write()
    with pytest.raises(SettingsError, match="queues must be an object, not a list"):
        configure(Celery())
