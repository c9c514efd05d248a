"""What gevent's monkey-patching misses in kombu."""

import time

from kombu.utils import functional


def finish_patching() -> None:
    """Give kombu's retry loop the cooperative sleep; without gevent, change nothing.

    While gevent patches locks it asks every object for its class, and Celery's lazy proxies import
    kombu for the answer: before `time` is patched. kombu then keeps the blocking sleep, and one
    retry of one publish, or of the broker's connection, stops every greenlet for seconds, the
    probes included.
    """
    functional.sleep = time.sleep  # type: ignore[attr-defined]
