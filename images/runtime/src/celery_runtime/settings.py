"""From the mounted directory to Celery's configuration.

`load` reads; `parse` and `celery_configuration` are pure, so that everything but the reading is
tested without a file.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from celery.app.defaults import DEFAULTS
from celery.schedules import ParseException, crontab, schedule

from celery_runtime import brokers
from celery_runtime.brokers import rabbitmq, redis, sqs
from celery_runtime.credentials import Credentials, Secrets, address, encoded, read, read_text
from celery_runtime.document import Table, refuse, suggest
from celery_runtime.errors import SettingsError

DIRECTORY_VARIABLE = "CELERY_RUNTIME_DIR"
DEFAULT_DIRECTORY = "/etc/celery-runtime"

OPTIONS = "broker_transport_options"
RESULT_EXPIRES_SECONDS = 24 * 60 * 60
BEAT_MAX_INTERVAL_SECONDS = 5
#: Six missed ticks: how long a schedule stands still after its beat was killed without a goodbye.
BEAT_LOCK_SECONDS = 30
REDIS_CONNECT_TIMEOUT_SECONDS = 5
REDIS_TIMEOUT_SECONDS = 30

DEFAULT_DELIVERY_LIMIT = 5
MAX_DELIVERY_LIMIT = 1_000_000
DEAD_SUFFIXES = (rabbitmq.DEAD_SUFFIX, redis.DEAD_SUFFIX, sqs.DEAD_SUFFIX)
_RESULT_SCHEMES = ("redis", "rediss")

#: Celery's defaults suit a laptop; these suit pods that come and go. `config` overrides each.
SHIPPED: Mapping[str, Any] = MappingProxyType(
    {
        # A message is acknowledged after the work and comes back when its worker dies.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_track_started": True,
        # What cannot be read or is rejected goes to the dead letters, with its reason. Events go
        # without confirms: under gevent the two together end in a deadlock.
        "worker_consumer": "celery_runtime.deadletter.worker:Consumer",
        # Safe to turn on, for a monitor that listens; each task then costs three more messages.
        "worker_send_task_events": False,
        # A broker that is away is waited for, at the start and later.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A half-open connection leaves an exclusive mailbox behind; without this, 405 is fatal.
        "broker_channel_error_retry": True,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_expires": RESULT_EXPIRES_SECONDS,
        # The work is done; an outage of the result store must not lose its result.
        "result_backend_always_retry": True,
        "redis_retry_on_timeout": True,
        "redis_socket_keepalive": True,
        "redis_socket_connect_timeout": REDIS_CONNECT_TIMEOUT_SECONDS,
        "redis_socket_timeout": REDIS_TIMEOUT_SECONDS,
        "beat_max_loop_interval": BEAT_MAX_INTERVAL_SECONDS,
        "redbeat_lock_timeout": BEAT_LOCK_SECONDS,
        "redbeat_redis_options": {
            "socket_keepalive": True,
            "socket_connect_timeout": REDIS_CONNECT_TIMEOUT_SECONDS,
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
        },
    }
)


@dataclass(frozen=True)
class ResultBackend:
    """Where results go; the host is empty when a whole URL is mounted."""

    kind: str
    host: str
    port: int
    database: int
    tls: bool


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
    result_backend: ResultBackend
    default_queue: str
    delivery_limits: Mapping[str, int]
    #: The longest task of all workers on this broker.
    max_task_seconds: int | None
    schedule: Mapping[str, Periodic]
    beat_key_prefix: str
    config: Mapping[str, Any]


def directory() -> Path:
    """The directory that the chart mounts; CELERY_RUNTIME_DIR moves it."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)


def load(mounted: Path) -> dict[str, Any] | None:
    """The Celery configuration that is mounted here, or None when there is no settings.json."""
    text = read_text(mounted / "settings.json")
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"settings.json is not JSON: {error}.") from error
    return celery_configuration(parse(document), read(mounted))


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
        result_backend=_result_backend(
            root.table("resultBackend", known=("kind", "host", "port", "database", "tls"))
        ),
        default_queue=default_queue,
        delivery_limits=limits,
        max_task_seconds=_max_task_seconds(root),
        schedule=_schedule(beat.table("schedule"), limits),
        beat_key_prefix=beat.optional("keyPrefix", str, ""),
        config=_config(root, limits),
    )


def celery_configuration(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """Celery's configuration: shipped, then derived from the settings, then `config`."""
    results = _results_url(settings.result_backend, secrets.results)
    derived = settings.broker.configuration(
        secrets.broker,
        delivery_limits=settings.delivery_limits,
        max_task_seconds=settings.max_task_seconds,
    )
    return {
        **SHIPPED,
        "broker_url": settings.broker.url(secrets.broker),
        **derived,
        "result_backend": results,
        "redbeat_redis_url": results,
        **_results_tls(results, secrets.results),
        "task_default_queue": settings.default_queue,
        "task_queues": [
            settings.broker.queue(name, delivery_limit=limit)
            for name, limit in settings.delivery_limits.items()
        ],
        "beat_schedule": {name: _entry(entry) for name, entry in settings.schedule.items()},
        **({"redbeat_key_prefix": settings.beat_key_prefix} if settings.beat_key_prefix else {}),
        **_merged(settings.config, derived),
    }


def _merged(config: Mapping[str, Any], derived: Mapping[str, Any]) -> dict[str, Any]:
    """What the user states; an option of the broker's transport leaves the other options alone."""
    return {**config, OPTIONS: {**derived[OPTIONS], **config.get(OPTIONS, {})}}


def _result_backend(table: Table) -> ResultBackend:
    return ResultBackend(
        kind=table.choice("kind", "redis"),
        host=table.optional("host", str, ""),
        port=table.integer("port", 6379, least=1, most=65535),
        database=table.integer("database", 0, least=0, most=2**31 - 1),
        tls=table.flag("tls"),
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
        if key not in DEFAULTS and not key.startswith("redbeat_"):
            hint = suggest(key.lower(), list(DEFAULTS)) if len(key) > 1 else ""
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


def _entry(entry: Periodic) -> dict[str, Any]:
    return {
        "task": entry.task,
        "schedule": entry.when,
        "args": list(entry.args),
        "kwargs": dict(entry.kwargs),
        "options": {"queue": entry.queue} if entry.queue else {},
    }


def _max_task_seconds(root: Table) -> int | None:
    key = "maxTaskSeconds"
    return root.integer(key, 1, least=1, most=2**31 - 1) if key in root else None


def _results_url(results: ResultBackend, credentials: Credentials) -> str:
    if whole := credentials.whole_url(*(("rediss",) if results.tls else _RESULT_SCHEMES)):
        return whole
    user = f"{encoded(credentials.username or '')}:{credentials.required_password()}"
    where = address(results.host, results.port, "resultBackend")
    return f"{'rediss' if results.tls else 'redis'}://{user}@{where}/{results.database}"


def _results_tls(url: str, credentials: Credentials) -> dict[str, Any]:
    """For Celery and RedBeat, which name a check in a URL differently and refuse each other's."""
    if not url.startswith("rediss://"):
        return {}
    options = redis.tls_options(credentials)
    return {"redis_backend_use_ssl": options, "redbeat_redis_use_ssl": options}
