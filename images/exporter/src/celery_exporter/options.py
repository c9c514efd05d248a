"""What is said to the exporter alone, by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from celery_runtime.errors import SettingsError

DEFAULT_PORT = 9808
MAX_PORT = 65_535
PORT_VARIABLE = "CELERY_EXPORTER_PORT"
PER_WORKER_VARIABLE = "CELERY_EXPORTER_PER_WORKER"
MANAGEMENT_VARIABLE = "CELERY_EXPORTER_MANAGEMENT_URL"
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to answer, and how much to tell."""

    port: int = DEFAULT_PORT
    #: Counters of tasks for each worker: on a thousand workers a page of 30 MB.
    per_worker: bool = True
    #: RabbitMQ's management API, for what workers hold of each queue.
    management_url: str = ""


def read(environment: Mapping[str, str] = os.environ) -> Options:
    """The options; an error names the variable and the mend."""
    return Options(
        port=_port(environment.get(PORT_VARIABLE) or str(DEFAULT_PORT)),
        per_worker=_flag(environment.get(PER_WORKER_VARIABLE) or "true"),
        management_url=environment.get(MANAGEMENT_VARIABLE, ""),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise SettingsError(f"{PORT_VARIABLE} must be from 0 to {MAX_PORT}, not {text!r}.")
    return int(text)


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise SettingsError(f"{PER_WORKER_VARIABLE} must be true or false, not {text!r}.")
    return _FLAGS[text]
