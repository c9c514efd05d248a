"""The page /work: what a worker does, for whoever decides how many workers there should be."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery.worker import state

from celery_runtime.health.probes import Process
from celery_runtime.health.tally import Tally
from celery_runtime.worker import counting

if TYPE_CHECKING:
    from celery.worker import WorkController

PATH = "/work"


class WorkPage:
    """Answers from memory; `after` asks for the tasks that have ended since that number."""

    def __init__(
        self, worker: "WorkController", process: Process, *, tally: Tally = counting.tally
    ) -> None:
        self._worker = worker
        self._process = process
        self._tally = tally

    def __call__(self, question: Mapping[str, str]) -> str:
        """The page, as JSON."""
        return json.dumps(self.as_dict(question.get("after", "")), separators=(",", ":"))

    def as_dict(self, after: str) -> dict[str, Any]:
        """The page as data."""
        worker = self._worker
        return {
            "worker": worker.hostname,
            "slots": worker.pool.num_processes,
            "draining": self._process.draining(),
            "queues": list(worker.app.amqp.queues.consume_from),
            "running": self._running(),
            **self._tally.as_dict(after=int(after) if after.isdecimal() else 0),
        }

    def _running(self) -> list[tuple[str, str, float]]:
        # The set itself: a WeakSet is looped over in Python, and may change meanwhile.
        requests = [reference() for reference in state.active_requests.data.copy()]
        now = time.time()
        return [
            (
                request.name,
                counting.queue_of(self._worker.app, request.delivery_info),
                max(0.0, round(now - request.time_start, 3)),
            )
            for request in requests
            if request is not None and request.time_start
        ]
