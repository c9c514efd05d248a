"""The application of the process tests."""

import logging
import os
import signal
import time

from celery import Celery
from celery.utils.log import get_task_logger

app = Celery("tiny")
logger = get_task_logger(__name__)
print("printed at import")


@app.task(name="tiny.work")
def work(seconds: float) -> float:
    print("printed by a task")
    logger.info("working", extra={"order": 7})
    logging.getLogger("shop").warning("two\nlines")
    time.sleep(seconds)
    return seconds


@app.task(name="tiny.limited", rate_limit="1/h")
def limited() -> None:
    """All but the first wait in the worker for an hour."""


@app.task(name="tiny.fail")
def fail() -> None:
    raise ValueError("no good")


@app.task(name="tiny.spin")
def spin(seconds: float) -> None:
    logger.info("spinning")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@app.task(name="tiny.descriptors")
def descriptors() -> list[str]:
    folder = "/proc/self/fd"
    return [link(f"{folder}/{name}") for name in os.listdir(folder)]  # noqa: PTH208


def link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""


@app.task(name="tiny.die", acks_late=False, reject_on_worker_lost=False)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
