"""Tasks that end in every way that there is."""

import time
from pathlib import Path

from celery import Celery, Task
from celery.exceptions import Reject
from celery.worker.request import Request

app = Celery("counted")


class OwnRequest(Request):  # type: ignore[misc]  # celery has no types
    """What an application may give a task."""


@app.task(name="counted.work")
def work(seconds: float = 0) -> None:
    time.sleep(seconds)


@app.task(name="counted.own_request", Request="countedapp:OwnRequest", acks_late=False)
def own_request() -> None:
    """Its requests are of a class of the application's."""


@app.task(name="counted.fail")
def fail() -> None:
    raise ValueError("no good")


@app.task(name="counted.again", bind=True)
def again(self: Task) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0, exc=ConnectionError("away"))


@app.task(name="counted.refuse")
def refuse() -> None:
    raise Reject("not mine", requeue=False)


@app.task(name="counted.hold")
def hold(until: str) -> None:
    while not Path(until).exists():
        time.sleep(0.05)
