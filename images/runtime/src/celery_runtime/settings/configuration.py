"""From the mounted directory to Celery's configuration.

`load` reads; parsing and `celery_configuration` are pure, so that everything but the reading is
tested without a file.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery_runtime.errors import SettingsError
from celery_runtime.settings.credentials import Secrets, read, read_text
from celery_runtime.settings.parsing import OPTIONS, Periodic, Settings, parse
from celery_runtime.settings.shipped import SHIPPED

DIRECTORY_VARIABLE = "CELERY_RUNTIME_DIR"
DEFAULT_DIRECTORY = "/etc/celery-runtime"


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


def celery_configuration(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """Celery's configuration: shipped, then derived from the settings, then `config`."""
    derived = settings.broker.configuration(
        secrets.broker,
        delivery_limits=settings.delivery_limits,
        max_task_seconds=settings.max_task_seconds,
    )
    return {
        **SHIPPED,
        "broker_url": settings.broker.url(secrets.broker),
        **derived,
        **settings.result_backend.configuration(secrets.results),
        "task_default_queue": settings.default_queue,
        "task_queues": [
            settings.broker.queue(
                name, delivery_limit=limit, max_task_seconds=settings.max_task_seconds
            )
            for name, limit in settings.delivery_limits.items()
        ],
        "beat_schedule": {name: _entry(entry) for name, entry in settings.schedule.items()},
        **({"redbeat_key_prefix": settings.beat_key_prefix} if settings.beat_key_prefix else {}),
        **_merged(settings.config, derived),
    }


def _merged(config: Mapping[str, Any], derived: Mapping[str, Any]) -> dict[str, Any]:
    """What the user states; an option of the broker's transport leaves the other options alone."""
    return {**config, OPTIONS: {**derived[OPTIONS], **config.get(OPTIONS, {})}}


def _entry(entry: Periodic) -> dict[str, Any]:
    return {
        "task": entry.task,
        "schedule": entry.when,
        "args": list(entry.args),
        "kwargs": dict(entry.kwargs),
        "options": {"queue": entry.queue} if entry.queue else {},
    }
