"""The article's kinds of work, in small; every run is counted in Redis."""

import os
import signal
import time
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from redis import Redis

app = Celery("shop")
ledger = Redis.from_url(os.environ["LEDGER_URL"])


class Counted(Task):  # type: ignore[misc]  # celery has no types
    """Counts each run under the id of its message."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        ledger.incr(f"runs:{self.request.id}")
        ledger.rpush(f"ways:{self.request.id}", self.request.delivery_info["routing_key"])
        group = (self.request.properties or {}).get("MessageGroupId", "")
        ledger.rpush(f"groups:{self.request.id}", group)
        return super().__call__(*args, **kwargs)


@app.task(name="shop.send_email", base=Counted)
def send_email(to: str, seconds: float = 0) -> str:
    time.sleep(seconds)
    return to


@app.task(name="shop.charge_customer", base=Counted, bind=True, max_retries=5)
def charge_customer(
    self: Task, order_id: int, fails: int = 0, countdown: float = 1, seconds: float = 0
) -> int:
    time.sleep(seconds)
    if self.request.retries < fails:
        raise self.retry(countdown=countdown, exc=ConnectionError("the gateway is away"))
    return order_id


@app.task(name="shop.resize_image", base=Counted)
def resize_image(photo: int, edge: int) -> int:
    return photo * edge


@app.task(name="shop.combine_thumbnails", base=Counted)
def combine_thumbnails(sizes: list[int]) -> int:
    return sum(sizes)


@app.task(name="shop.hold", base=Counted, acks_late=False)
def hold(name: str) -> str:
    while ledger.exists(f"hold:{name}"):
        time.sleep(0.05)
    return name


@app.task(name="shop.refuse", base=Counted)
def refuse() -> None:
    raise Reject("the order has no customer", requeue=False)


@app.task(name="shop.fail_for_good", base=Counted, acks_on_failure_or_timeout=False)
def fail_for_good() -> None:
    raise ValueError("no such order")


@app.task(name="shop.run_out_of_memory", base=Counted)
def run_out_of_memory() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
