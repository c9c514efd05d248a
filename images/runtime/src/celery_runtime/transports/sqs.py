"""Amazon SQS: queues with a redrive policy, and messages held while their worker lives."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from kombu.exceptions import OperationalError
from kombu.transport import SQS
from kombu.transport.SQS.exceptions import DoesNotExistQueueException

from celery_runtime.brokers import visibility
from celery_runtime.brokers.sqs import FIFO
from celery_runtime.transports import FULL_HANDS_SECONDS

if TYPE_CHECKING:
    from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html
BATCH = 10


class Channel(SQS.Channel):
    """A channel whose queues have dead-letter queues."""

    _empty_polls = 0

    @property
    def tend_interval_seconds(self) -> float:
        """How often `tend` has to be called."""
        return visibility.renewal_interval_seconds(self.visibility_timeout)

    def tend(self) -> None:
        """Start the visibility timeout of every held message anew."""
        for queue_url, receipts in self._held().items():
            for first in range(0, len(receipts), BATCH):
                self._renew(queue_url, receipts[first : first + BATCH])

    def drain_events(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # kombu's own
        """Wait for messages where there are hands for them: the way of gevent."""
        if not self.qos.can_consume():
            time.sleep(FULL_HANDS_SECONDS)
        super().drain_events(*arguments, **options)

    def _get_bulk(self, queue: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        """Fetch from one queue: the way of gevent, which asks one queue after the other.

        Only when all of them were empty is it worth while to wait for messages in one.
        """
        quiet = self._empty_polls >= len(self._active_queues)
        self.wait_time_seconds = self.transport_options["wait_time_seconds"] if quiet else 0
        self._empty_polls += 1
        super()._get_bulk(queue, *arguments, **options)
        self._empty_polls = 0

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:  # noqa: ANN401
        """Send; what is for later waits in the queue, not in a worker that may be scaled away."""
        # A FIFO queue has no delay for one message: there the worker holds it.
        if not queue.endswith(FIFO):
            delay = delay_seconds(message.get("headers") or {}, datetime.now(UTC))
            message["properties"].setdefault("delay_seconds", delay)
        super()._put(queue, message, **options)

    # Both fetch with our own visibility timeout: a queue that exists may have a shorter one, which
    # would be over before the first renewal.

    def _get_from_sqs(
        self,
        queue_name: str,
        queue_url: str,
        connection: "AsyncSQSConnection",
        count: int = 1,
        callback: object = None,
    ) -> object:
        return connection.receive_message(
            queue_name,
            queue_url,
            number_messages=_at_once(queue_name, count),
            visibility_timeout=self.visibility_timeout,
            wait_time_seconds=self.wait_time_seconds,
            callback=callback,
        )

    def _receive_message(
        self, queue: str, max_number_of_messages: int = 1, wait_time_seconds: int | None = None
    ) -> dict[str, Any]:
        attributes = {name: value for name, value in self.get_message_attributes.items() if value}
        received: dict[str, Any] = self.sqs(queue=queue).receive_message(
            QueueUrl=self._new_queue(queue),
            MaxNumberOfMessages=_at_once(queue, max_number_of_messages),
            VisibilityTimeout=self.visibility_timeout,
            WaitTimeSeconds=wait_time_seconds or self.wait_time_seconds,
            **attributes,
        )
        return received

    def _held(self) -> dict[str, list[str]]:
        held: dict[str, list[str]] = {}
        for receipt, message in list(self.qos._delivered.items()):
            if receipt not in self.qos._dirty:
                held.setdefault(message.delivery_info["sqs_queue"], []).append(receipt)
        return held

    def _renew(self, queue_url: str, receipts: list[str]) -> None:
        entries = [
            {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": self.visibility_timeout}
            for at, receipt in enumerate(receipts)
        ]
        self.sqs().change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)

    def _has_queue(self, queue: str, **_: object) -> bool:
        """Ask SQS, because a passive declaration would otherwise make the queue."""
        try:
            url = self._resolve_queue_url(queue)
            self.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        except (DoesNotExistQueueException, self.sqs().exceptions.QueueDoesNotExist):
            return False
        except ClientError as error:
            raise OperationalError(str(error)) from error
        return True

    def _create_queue(self, queue_name: str, attributes: dict[str, str]) -> dict[str, Any]:
        for name, dead in self.transport_options.get("dead_letters", {}).items():
            if self.canonical_queue_name(name) == queue_name:
                attributes |= {"RedrivePolicy": self._redrive_policy(dead)}
        created: dict[str, Any] = super()._create_queue(queue_name, attributes)
        return created

    def _redrive_policy(self, dead: dict[str, Any]) -> str:
        url = self._new_queue(dead["queue"])
        asked = self.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        # A receive is one more than a return: the other brokers count what came back.
        policy = {
            "deadLetterTargetArn": asked["Attributes"]["QueueArn"],
            "maxReceiveCount": dead["limit"] + 1,
        }
        return json.dumps(policy)


def _at_once(queue: str, count: int) -> int:
    # Several of one group, fetched together, would run side by side.
    return 1 if queue.endswith(FIFO) else count


def delay_seconds(headers: Mapping[str, Any], now: datetime) -> int | None:
    """How long SQS can hold a task; what is left of its countdown the worker holds and renews."""
    try:
        moment = datetime.fromisoformat(headers["eta"])
        left = int((moment - now).total_seconds())
    except (LookupError, TypeError, ValueError):
        # No ETA, or one without a time zone: the worker knows what it means.
        return None
    return min(left, SQS.MAX_DELAY_SECONDS) if left > 0 else None


class Transport(SQS.Transport):
    """kombu's, with these channels."""

    Channel = Channel
