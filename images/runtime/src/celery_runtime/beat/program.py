"""`celery beat`, as a pod runs it."""

import time
from typing import Any

from celery import platforms
from celery.apps.beat import Beat
from celery.beat import Service

from celery_runtime.beat.patient import RETRY_SECONDS
from celery_runtime.beat.probes import probes
from celery_runtime.errors import CeleryRuntimeError, LockNotHeldError
from celery_runtime.health.server import serve


class Program(Beat):  # type: ignore[misc]  # celery has no types
    """`celery beat` without its banner and with probes."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 # what the command line has
        super().__init__(**{**options, "quiet": True})

    def start_scheduler(self) -> None:
        # Before the scheduler exists: making it already waits for Redis.
        serve(probes, pages={"/metrics": probes.metrics})
        while True:
            try:
                super().start_scheduler()
            except LockNotHeldError:
                # As the one that waits, in this process: Kubernetes starts one that ends again and
                # again later each time. Celery has logged it, and its file of the process's number
                # is there.
                self.pidfile = None
                time.sleep(RETRY_SECONDS)
            except CeleryRuntimeError:
                raise SystemExit(1) from None
            else:
                return

    def install_sync_handler(self, service: Service) -> None:  # noqa: ARG002 # celery passes it
        """Leave on SIGTERM and SIGINT; the service closes its scheduler on the way out.

        Celery's own handler asks for the scheduler, and would make a second one while the first
        still waits for Redis.
        """
        platforms.signals.update(SIGTERM=_leave, SIGINT=_leave)


def _leave(*_: object) -> None:
    raise SystemExit
