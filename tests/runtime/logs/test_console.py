"""One JSON object a line, whatever is logged."""

import json
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task

from celery_runtime.logs import console

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OWN = ("the app's own", None)


def logged(
    message: object, *arguments: object, name: str = "shop", **attributes: object
) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.INFO, "", 0, message, arguments, None)
    record.__dict__.update(attributes)
    line = console.Formatter(worker_hostname="io@pod").format(record)
    assert "\n" not in line
    return dict(json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))


def test_a_record_has_time_level_logger_message_and_its_worker() -> None:
    line = logged("sold %d of %s", 2, "tea")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "INFO",
        "logger": "shop",
        "message": "sold 2 of tea",
        "worker_hostname": "io@pod",
    }


def test_extras_are_fields_and_never_replace_what_is_always_there() -> None:
    line = logged("x", order=7, level="hidden")
    assert line["order"] == 7
    assert line["level"] == "INFO"


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, b"\xff", {("a", 1): 2}])
def test_a_value_that_json_does_not_have_costs_nothing_but_its_type(value: object) -> None:
    line = logged("x", value=value)
    assert line["message"] == "x"
    assert "value" in line


def test_a_message_that_does_not_fit_its_arguments_is_still_a_line() -> None:
    assert logged("%d items", "many")["message"] == "%d items ('many',)"


def test_an_exception_is_a_field() -> None:
    error = ValueError("two\nlines")
    line = logged("failed", exc_info=(ValueError, error, None))
    assert line["exception"].endswith("ValueError: two\nlines")


def test_celery_s_record_of_a_success_gives_id_name_and_duration_but_not_the_arguments() -> None:
    context = {"id": "1-2", "name": "t", "runtime": 0.0125, "args": "('secret',)"}
    line = logged("%(name)s", context, name="celery.app.trace", data=context)
    assert line["task_id"] == "1-2"
    assert line["task_name"] == "t"
    assert line["duration_ms"] == 12.5
    assert "secret" not in json.dumps(line)


def test_a_record_of_the_app_carries_the_task_that_runs() -> None:
    app = Celery(set_as_current=False)
    seen: list[dict[str, Any]] = []

    @app.task(name="t", shared=False)
    def task() -> None:
        seen.append(logged("inside"))

    task.apply(task_id="1-2")
    assert (seen[0]["task_id"], seen[0]["task_name"]) == ("1-2", "t")
    assert "task_id" not in logged("outside")


def in_task(**headers: object) -> dict[str, Any]:
    """What a task whose message has these headers logs."""
    app = Celery(set_as_current=False)
    seen: list[dict[str, Any]] = []

    @app.task(name="t", shared=False, bind=True)
    def task(self: Task) -> None:
        self.request.update(headers)
        seen.append(logged("inside", trace_id="the app's own"))

    task.apply()
    return seen[0]


@pytest.mark.parametrize(
    ("delivery", "queue"),
    [
        ({"exchange": "email", "routing_key": "email"}, "email"),
        ({"exchange": "", "routing_key": "a.b"}, "a.b"),
        ({"exchange": "celery_delayed_delivery", "routing_key": "0." * 27 + "1.a.b"}, "a.b"),
        ({}, None),
        (None, None),
    ],
)
def test_the_queue_is_the_one_the_message_was_sent_to(
    delivery: dict[str, Any] | None, queue: str | None
) -> None:
    line = in_task(delivery_info=delivery, retries=2)
    assert (line.get("queue"), line["retries"]) == (queue, 2)


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, (TRACE, SPAN)),
        ({"traceparent": f"01-{TRACE}-{SPAN}-01-more"}, (TRACE, SPAN)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00", "trace_id": "plain"}, (TRACE, SPAN)),
        ({"trace_id": "plain"}, ("plain", None)),
        ({"traceparent": f"ff-{TRACE}-{SPAN}-01"}, OWN),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, OWN),
        ({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, OWN),
        ({"traceparent": 7, "trace_id": 7}, OWN),
    ],
)
def test_the_trace_is_that_of_the_message(
    headers: dict[str, object], trace: tuple[str | None, str | None]
) -> None:
    line = in_task(**headers)
    assert (line.get("trace_id"), line.get("span_id")) == trace


def test_what_one_print_writes_in_pieces_is_one_record(caplog: pytest.LogCaptureFixture) -> None:
    stream = console.Printed()
    print("a", 1, file=stream)
    print("b\nc", file=stream)
    print("d", end="", file=stream)
    assert caplog.messages == ["a 1", "b\nc"]
    stream.finish()
    assert caplog.messages == ["a 1", "b\nc", "d"]


def test_a_log_that_cannot_be_written_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = console.Printed()
    written: list[object] = []

    def fail(*arguments: object) -> None:
        written.append(arguments[-1])
        print("cannot write", file=stream)

    monkeypatch.setattr(stream.logger, "log", fail)
    print("a", file=stream)
    assert written == ["a"]


def test_console_handlers_of_the_app_give_way_and_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, kept = logging.StreamHandler(), logging.NullHandler()
    each = logging.Logger("shop")
    each.propagate = False
    monkeypatch.setattr(each, "handlers", [terminal, kept])
    console._drop_console(each)
    assert each.handlers == [kept]
    assert each.propagate


def test_the_banner_of_a_worker_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console._formatter, "process", {})
    instance = SimpleNamespace(quiet=False)
    console._remember_worker("io@pod", instance)
    assert instance.quiet
    assert console._formatter.process == {"worker_hostname": "io@pod"}
