"""An application whose tasks write down what happens to them, on plain settings or mounted ones."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery, current_task
from celery.signals import worker_ready

app = Celery("journal")
app.conf.update(json.loads(os.environ.get("PLAIN_SETTINGS", "{}")))
ballast: list[bytes] = []
if "PAUSE_UNTIL" in os.environ:
    go_on = Path(os.environ["PAUSE_UNTIL"])

    @worker_ready.connect
    def wait(**_: object) -> None:
        """Holds the loop up between its consumers and its first question."""
        print("Pausing", flush=True)
        while not go_on.exists():
            time.sleep(0.1)


def write(event: str) -> None:
    line = f"{current_task.request.id} {event} {os.getpid()}\n"
    descriptor = os.open(os.environ["JOURNAL"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@contextmanager
def written() -> Iterator[None]:
    write("begun")
    yield
    write("done")


@app.task(name="journal.work")
def work(seconds: float = 0) -> None:
    with written():
        time.sleep(seconds)


@app.task(name="journal.spin")
def spin(seconds: float) -> None:
    """Holds the whole process up under gevent."""
    with written():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass


@app.task(name="journal.die")
def die() -> None:
    write("begun")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="journal.grow")
def grow(mebibytes: int) -> None:
    with written():
        ballast.append(b"x" * (mebibytes << 20))


@app.task(name="journal.send")
def send(count: int) -> None:
    """Publishes from within a task."""
    with written():
        for _ in range(count):
            work.delay()
