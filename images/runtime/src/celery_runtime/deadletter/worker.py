"""Where a message dies in a worker: in the consumer, which cannot read it, or after its task."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.app.task import Task
from celery.exceptions import Reject
from kombu.utils.imports import symbol_by_name

from celery_runtime.deadletter import record
from celery_runtime.deadletter.burial import bury
from celery_runtime.logs import task_fields
from celery_runtime.worker import consumer, counting

if TYPE_CHECKING:
    from billiard.einfo import ExceptionInfo
    from kombu.message import Message

#: What Celery raises when headers or body are not shaped like a task's.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)


class Request(counting.Counted, task_fields.Request):
    """A request that counts, and whose message goes to the dead letters when it is rejected."""

    _cause: object = None

    def on_failure(self, exc_info: "ExceptionInfo", **options: Any) -> None:  # noqa: ANN401
        """Remember why, for the message."""
        exception = exc_info.exception
        self._cause = getattr(exception, "exc", None) or exception
        super().on_failure(exc_info, **options)

    def reject(self, requeue: bool = False) -> None:
        """Put the message back, or among the dead letters."""
        if requeue or self.acknowledged:
            super().reject(requeue=requeue)
        elif bury(self.app, self.message, **self._death()):
            self.acknowledge()
            self.send_event("task-rejected", requeue=False)
        else:
            super().reject(requeue=True)

    def _death(self) -> dict[str, Any]:
        if isinstance(self._cause, Reject):
            return {"reason": record.REJECTED, "error": self._cause.reason or ""}
        return {"reason": record.FAILED, "error": repr(self._cause) if self._cause else ""}


class Consumer(consumer.Consumer):
    """Sends what cannot be read to the dead letters; Celery drops it, or ends at it."""

    def on_unknown_message(self, body: object, message: "Message") -> None:
        """Neither headers nor body say which task it is."""
        if self._buried(message, record.UNREADABLE, "It names no task."):
            super().on_unknown_message(body, message)

    def on_unknown_task(self, body: object, message: "Message", exc: Exception) -> None:
        """No task of this worker has its name."""
        if self._buried(message, record.UNKNOWN_TASK, exc):
            super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: object, message: "Message", exc: Exception) -> None:
        """It is in a serialization that is not accepted, or says nothing of its arguments."""
        if self._buried(message, record.NOT_ACCEPTED, exc):
            super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: "Message", exc: Exception) -> None:
        """Its body is broken."""
        if self._buried(message, record.UNREADABLE, exc):
            super().on_decode_error(message, exc)

    def create_task_handler(self, *arguments: object) -> Callable[["Message"], None]:
        """Celery's, which a malformed message does not end."""
        handle = super().create_task_handler(*arguments)

        def on_task_received(message: "Message") -> None:
            counting.count_message(self.app, message)
            try:
                handle(message)
            except MALFORMED as error:
                if self._buried(message, record.UNREADABLE, repr(error)):
                    message.ack()

        return on_task_received

    def update_strategies(self) -> None:
        """Give every task that has no request class of its own ours; the others are counted."""
        for task in self.app.tasks.values():
            own = Request if task.Request == Task.Request else symbol_by_name(task.Request)
            task.Request = counting.counted(own)
        super().update_strategies()

    def _buried(self, message: "Message", reason: str, error: object) -> bool:
        if not bury(self.app, message, reason=reason, error=error):
            message.requeue()
            return False
        # The copy is where it belongs: what Celery rejects from here on is done with.
        message.reject_log_error = message.ack_log_error  # type: ignore[method-assign]
        return True
