"""A process that cannot start says why in one line of JSON and exits with code 1."""

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted, Start


def test_an_app_that_is_not_there_is_one_line(celery: "Start") -> None:
    service = celery("worker", "--pool=gevent", app="absent.celery:app")
    assert service.process.wait(timeout=20) == 1
    (line,) = service.lines()
    assert "there is no module 'absent'. Copy the code to " in line["message"]
    assert line["level"] == "CRITICAL"


def test_the_traceback_of_an_import_is_a_field(celery: "Start") -> None:
    service = celery("beat", app="raising")
    assert service.process.wait(timeout=20) == 1
    (line,) = service.lines()
    assert "TINY_DATABASE_URL" in line["exception"]
    assert "Traceback (most recent call last)" in line["exception"]


def test_settings_that_cannot_be_used_are_one_line(celery: "Start", mounted: "Mounted") -> None:
    mounted.settings["queues"]["email"] = {"deliverLimit": 3}
    mounted.write()
    service = celery("worker", "--loglevel=info")
    assert service.process.wait(timeout=20) == 1
    printed, line = service.lines()
    assert printed["message"] == "printed at import"
    assert line["message"] == (
        "settings.json: queues.email.deliverLimit is not a known key. Did you mean deliveryLimit?"
    )


@pytest.mark.parametrize("command", [["worker", "--pool=solo"], ["beat"]])
def test_a_port_that_is_taken_is_one_line(celery: "Start", command: list[str]) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        service = celery(*command, CELERY_RUNTIME_HEALTH_PORT=str(port))
        assert service.process.wait(timeout=20) == 1
    (line,) = [line for line in service.lines() if line["level"] == "CRITICAL"]
    assert f"The probes cannot listen on port {port}" in line["message"]


def test_a_bound_that_cannot_be_used_is_one_line(celery: "Start") -> None:
    service = celery("worker", "--pool=solo", CELERY_RUNTIME_STUCK_AFTER_SECONDS="1m")
    assert service.process.wait(timeout=20) == 1
    (line,) = [line for line in service.lines() if line["level"] == "CRITICAL"]
    assert "CELERY_RUNTIME_STUCK_AFTER_SECONDS must be a whole number" in line["message"]
