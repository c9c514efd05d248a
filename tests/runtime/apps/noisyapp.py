"""An application that says things in every way that is not one log record."""

import atexit
import logging
import threading
import time
import warnings
from typing import Any

from celery import Celery, signals

app = Celery("noisy")
print("printed", "at import", 1)
warnings.warn("warned at import", UserWarning, stacklevel=1)


@atexit.register
def last_words() -> None:
    print("printed at the end")
    raise RuntimeError("raised at the end")


@signals.worker_shutting_down.connect
def told_to_stop(**_: object) -> None:
    print("printed in a signal handler")


class Grudge:
    def __del__(self) -> None:
        raise RuntimeError("raised by a finalizer")


@app.task(name="noisy.speak")
def speak(secrets: dict[str, Any]) -> None:
    print("two", "words")
    print("two\nlines")
    print("no end", end="", flush=True)
    warnings.warn("warned by a task", UserWarning, stacklevel=1)
    logging.getLogger("shop").debug("a detail")
    thread = threading.Thread(target=int, args=["not a number"])
    thread.start()
    thread.join()
    Grudge()
    for secret in secrets.values():
        print(secret)
        logging.getLogger("shop").warning("seen %s", secret, extra={"order": [{"by": secret}]})
    raise ValueError(secrets)


@app.task(name="noisy.hang", bind=True, max_retries=1)
def hang(self: Any) -> None:  # noqa: ANN401 # a bound task
    if not self.request.retries:
        self.retry(countdown=0)
    print("hanging")
    time.sleep(60)
