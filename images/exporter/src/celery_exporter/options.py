"""What is said to the exporter alone, by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from celery_runtime.errors import SettingsError

DEFAULT_PORT = 9808
MAX_PORT = 65_535
PORT_VARIABLE = "CELERY_EXPORTER_PORT"
PER_WORKER_VARIABLE = "CELERY_EXPORTER_PER_WORKER"
MANAGEMENT_VARIABLE = "CELERY_EXPORTER_MANAGEMENT_URL"
TASKS_VARIABLE = "CELERY_EXPORTER_TASKS_FROM"
SCALER_PORT_VARIABLE = "CELERY_EXPORTER_SCALER_PORT"
SCALER_TLS_VARIABLE = "CELERY_EXPORTER_SCALER_TLS_DIR"
API_PORT_VARIABLE = "CELERY_EXPORTER_API_PORT"
API_TLS_VARIABLE = "CELERY_EXPORTER_API_TLS_DIR"
DEFAULT_SCALER_PORT = 9809
DEFAULT_API_PORT = 9810
WORKERS, EVENTS = "workers", "events"
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to answer, and how much to tell."""

    port: int = DEFAULT_PORT
    #: Counters of tasks for each worker: on a thousand workers a page of 30 MB.
    per_worker: bool = True
    #: RabbitMQ's management API, for what workers hold of each queue.
    management_url: str = ""
    #: What is counted of tasks: what workers tell by their own endpoint, or their events.
    tasks_from: str = WORKERS
    scaler_port: int = DEFAULT_SCALER_PORT
    #: tls.crt and tls.key, and ca.crt where KEDA has to show a certificate; None: without TLS.
    scaler_tls: Path | None = None
    api_port: int = DEFAULT_API_PORT
    #: tls.crt and tls.key; None: external metrics are not served.
    api_tls: Path | None = None


def read(environment: Mapping[str, str] = os.environ) -> Options:
    """The options; an error names the variable and the mend."""
    return Options(
        port=_port(environment, PORT_VARIABLE, DEFAULT_PORT),
        per_worker=_flag(environment.get(PER_WORKER_VARIABLE) or "true"),
        management_url=environment.get(MANAGEMENT_VARIABLE, ""),
        tasks_from=_source(environment.get(TASKS_VARIABLE) or WORKERS),
        scaler_port=_port(environment, SCALER_PORT_VARIABLE, DEFAULT_SCALER_PORT),
        scaler_tls=_directory(environment, SCALER_TLS_VARIABLE),
        api_port=_port(environment, API_PORT_VARIABLE, DEFAULT_API_PORT),
        api_tls=_directory(environment, API_TLS_VARIABLE),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise SettingsError(f"{name} must be from 0 to {MAX_PORT}, not {text!r}.")
    return int(text)


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise SettingsError(f"{PER_WORKER_VARIABLE} must be true or false, not {text!r}.")
    return _FLAGS[text]


def _source(text: str) -> str:
    if text not in (WORKERS, EVENTS):
        raise SettingsError(f"{TASKS_VARIABLE} must be {WORKERS} or {EVENTS}, not {text!r}.")
    return text


def _directory(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name)
    if text and not Path(text).is_dir():
        raise SettingsError(f"{name} must be a directory with tls.crt and tls.key, not {text!r}.")
    return Path(text) if text else None
