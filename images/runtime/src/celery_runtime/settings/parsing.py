"""settings.json, checked: an error names the path of what is wrong and the mend."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery.app.defaults import DEFAULTS
from celery.schedules import ParseException, crontab, schedule

from celery_runtime import brokers
from celery_runtime.brokers import rabbitmq, redis, sqs
from celery_runtime.settings import results
from celery_runtime.settings.document import Table, refuse, suggest
from celery_runtime.settings.shipped import SHIPPED

OPTIONS = "broker_transport_options"
DEFAULT_DELIVERY_LIMIT = 5
MAX_DELIVERY_LIMIT = 1_000_000
#: Celery documents one that is not among its defaults: result_backend_thread_safe.
SETTINGS = {*DEFAULTS, *SHIPPED}
DEAD_SUFFIXES = (rabbitmq.DEAD_SUFFIX, redis.DEAD_SUFFIX, sqs.DEAD_SUFFIX)


@dataclass(frozen=True)
class Periodic:
    """A task that beat sends: what, when, where."""

    task: str
    when: schedule
    queue: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """A settings.json that has passed every check."""

    broker: brokers.Broker
    result_backend: results.ResultBackend
    default_queue: str
    delivery_limits: Mapping[str, int]
    #: The longest task of all workers on this broker.
    max_task_seconds: int | None
    schedule: Mapping[str, Periodic]
    beat_key_prefix: str
    config: Mapping[str, Any]


def parse(document: object) -> Settings:
    """The checked settings; an error names the path of what is wrong and the mend."""
    root = Table(
        document,
        known=(
            "broker",
            "resultBackend",
            "defaultQueue",
            "queues",
            "maxTaskSeconds",
            "beat",
            "config",
        ),
    )
    limits = _delivery_limits(root)
    beat = root.table("beat", known=("schedule", "keyPrefix"))
    default_queue = root.required("defaultQueue", str)
    _known_queue(default_queue, limits, "defaultQueue")
    return Settings(
        broker=brokers.parse(root),
        result_backend=results.parse(root),
        default_queue=default_queue,
        delivery_limits=limits,
        max_task_seconds=_max_task_seconds(root),
        schedule=_schedule(beat.table("schedule"), limits),
        beat_key_prefix=beat.optional("keyPrefix", str, ""),
        config=_config(root, limits),
    )


def _delivery_limits(root: Table) -> dict[str, int]:
    root.required("queues", dict)
    table = root.table("queues")
    limits = {name: _delivery_limit(table, name) for name in table}
    if not limits:
        raise refuse("queues", 'is empty. Declare at least one queue, as in {"default": {}}.')
    return limits


def _delivery_limit(table: Table, name: str) -> int:
    if not name or name.endswith(DEAD_SUFFIXES) or name == rabbitmq.DEAD_LETTER_EXCHANGE:
        raise refuse(
            table.path(name), "is a name that dead lettering uses. Choose another for the queue."
        )
    queue = table.table(name, known=("deliveryLimit",))
    return queue.integer("deliveryLimit", DEFAULT_DELIVERY_LIMIT, least=1, most=MAX_DELIVERY_LIMIT)


def _schedule(table: Table, known_queues: Mapping[str, int]) -> dict[str, Periodic]:
    keys = ("task", "every", "cron", "queue", "args", "kwargs")
    return {name: _periodic(table.table(name, known=keys), known_queues) for name in table}


def _periodic(table: Table, known_queues: Mapping[str, int]) -> Periodic:
    queue = table.optional("queue", str, "")
    if "queue" in table:
        _known_queue(queue, known_queues, table.path("queue"))
    return Periodic(
        task=table.required("task", str),
        when=_when(table),
        queue=queue,
        args=tuple(table.optional("args", list, [])),
        kwargs=table.optional("kwargs", dict, {}),
    )


def _when(table: Table) -> schedule:
    if ("every" in table) == ("cron" in table):
        raise refuse(table.path("every"), "or cron must be set, one of the two.")
    return _cron(table) if "cron" in table else _every(table)


def _every(table: Table) -> schedule:
    seconds = table.required("every", float)
    if seconds < 1:
        raise refuse(table.path("every"), f"must be at least 1 second, not {seconds}.")
    return schedule(timedelta(seconds=seconds))


def _cron(table: Table) -> crontab:
    text = table.required("cron", str)
    try:
        minute, hour, day_of_month, month_of_year, day_of_week = text.split()
        return crontab(minute, hour, day_of_week, day_of_month, month_of_year)
    except (ValueError, ParseException) as error:
        raise refuse(
            table.path("cron"),
            f"is {text!r}, not the five fields minute, hour, day of month, month, day of week, "
            'as in "0 3 * * *".',
        ) from error


def _config(root: Table, known_queues: Mapping[str, int]) -> dict[str, Any]:
    config = root.optional("config", dict, {})
    for key in config:
        if key not in SETTINGS and not key.startswith("redbeat_"):
            hint = suggest(key.lower(), sorted(SETTINGS)) if len(key) > 1 else ""
            raise refuse(
                f"config.{key}", f"is not a Celery setting under its lower-case name. {hint}"
            )
    Table(config, "config").table(OPTIONS)
    _check_routes(config.get("task_routes"), known_queues)
    return config


def _check_routes(routes: object, known_queues: Mapping[str, int]) -> None:
    for task, route in routes.items() if isinstance(routes, dict) else ():
        queue = route.get("queue") if isinstance(route, dict) else route
        if isinstance(queue, str):
            _known_queue(queue, known_queues, f"config.task_routes.{task}")


def _known_queue(name: str, known_queues: Mapping[str, int], path: str) -> None:
    if name not in known_queues:
        raise refuse(
            path,
            f"names the queue {name!r}, which is not declared. Add it to queues, or correct it. "
            f"{suggest(name, list(known_queues))}",
        )


def _max_task_seconds(root: Table) -> int | None:
    key = "maxTaskSeconds"
    return root.integer(key, 1, least=1, most=2**31 - 1) if key in root else None
