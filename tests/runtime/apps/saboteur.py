"""tinyapp in a worker whose consumer can be broken from inside, by a signal."""

import os
import signal
import threading
import time
from collections.abc import Callable

from celery import bootsteps, signals
from celery.worker.consumer import Consumer
from tinyapp import app  # type: ignore[import-not-found]  # beside this file

A_LONG_TIME_SECONDS = 3600


class Saboteur(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """SIGUSR1 blocks the consumer's loop, SIGUSR2 cancels its consumers behind its back."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Consumer) -> None:
        def cancel() -> None:
            tasks = consumer.task_consumer
            for tag in tuple(tasks._active_tags.values()):
                tasks.channel.basic_cancel(tag)

        def block() -> None:
            time.sleep(A_LONG_TIME_SECONDS)

        signal.signal(signal.SIGUSR1, lambda *_: soon(consumer, block))
        signal.signal(signal.SIGUSR2, lambda *_: soon(consumer, cancel))


def soon(consumer: Consumer, act: Callable[[], None]) -> None:
    """Let the loop do it, from a signal's handler: there no greenlet may wait, and no lock."""
    if consumer.hub:
        threading.Thread(target=consumer.call_soon, args=(act,), daemon=True).start()
    else:
        consumer.call_soon(act)


def hang(**_: object) -> None:
    time.sleep(A_LONG_TIME_SECONDS)


app.steps["consumer"].add(Saboteur)
if os.environ.get("TINY_HANGS_AT_SHUTDOWN"):
    signals.worker_shutdown.connect(hang)
