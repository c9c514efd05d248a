"""Tasks that are done once in effect, or limited together."""

import json
import os
import time

from celery import Celery, Task
from redis import Redis

from celery_runtime import TokenBucket, once

app = Celery("shared")
effects = Redis.from_url(os.environ["EFFECTS_URL"])


def leave(self: Task, name: object) -> str:
    """An effect, and what a test has to know of the run; ends when nothing holds it."""
    request = self.request
    processes = [os.getpid(), os.getppid()]
    effects.rpush(
        f"runs:{name}",
        json.dumps([time.time(), request.id, request.retries, processes]),
    )
    while effects.exists(f"hold:{name}"):
        time.sleep(0.05)
    return str(request.id)


@app.task(name="shared.charge", bind=True, max_retries=0)
@once(key="{order}", ttl_seconds=60, wait_seconds=15, lease_seconds=2)
def charge(self: Task, order: str) -> str:
    return leave(self, order)


@app.task(name="shared.charge_or_reject", bind=True, max_retries=0)
@once(key="{order}", ttl_seconds=60, in_flight="reject", retry_seconds=1, lease_seconds=3)
def charge_or_reject(self: Task, order: str) -> str:
    return leave(self, order)


@app.task(name="shared.send", bind=True, max_retries=0)
@TokenBucket("smtp", rate="4/s", burst=2)
def send(self: Task, to: str) -> str:
    return leave(self, to)


@app.task(name="shared.call", bind=True, max_retries=0, ignore_result=True)
@TokenBucket("gateway", rate="50/s", burst=1000)
def call(self: Task) -> None:
    leave(self, "call")
