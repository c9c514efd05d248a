"""Amazon SQS: about how many messages wait and are held. The age of the oldest is CloudWatch's."""

from collections.abc import Sequence
from typing import Any

from celery import Celery

from celery_exporter.broker.connecting import Line
from celery_exporter.readings import Depth, Reading

READY = "ApproximateNumberOfMessages"
UNACKED = "ApproximateNumberOfMessagesNotVisible"


class Sqs:
    """Knows what waits and what is held, about."""

    def __init__(self, app: Celery) -> None:
        self._line = Line(app)

    def read(self, queues: Sequence[str]) -> Reading:
        """Ask about queues, one by one; raises when none could be asked."""
        # Here and not above: other brokers need no boto3.
        from botocore.exceptions import ClientError
        from kombu.transport.SQS.exceptions import DoesNotExistQueueException

        channel = self._line.connection().default_channel
        depths: dict[str, Depth] = {}
        unread: dict[str, str] = {}
        for queue in queues:
            try:
                depths[queue] = _depth(channel, queue)
            except (ClientError, DoesNotExistQueueException) as error:
                unread[queue] = str(error)
        return Reading(depths=depths, unread=unread)

    def close(self) -> None:
        """Give the connection up."""
        self._line.close()


def _depth(channel: Any, queue: str) -> Depth:  # noqa: ANN401 # kombu has no types
    answer = channel.sqs().get_queue_attributes(
        QueueUrl=channel._resolve_queue_url(queue),  # the others make the queue
        AttributeNames=[READY, UNACKED],
    )
    attributes = answer["Attributes"]
    return Depth(ready=int(attributes[READY]), unacked=int(attributes[UNACKED]))
