"""RabbitMQ: a passive declaration for each queue, and the management API where it is given."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError
from kombu.transport.native_delayed_delivery import MAX_NUMBER_OF_BITS_TO_USE, level_name

from celery_exporter.broker.connecting import Line
from celery_exporter.broker.management import Management, Told
from celery_exporter.readings import Depth, Reading

#: The management API counts every five seconds itself.
MANAGEMENT_SECONDS = 5.0
DELAY_QUEUES = [level_name(level) for level in range(MAX_NUMBER_OF_BITS_TO_USE)]

logger = logging.getLogger(__name__)


class RabbitMQ:
    """Knows what waits and who consumes; all else by the management API alone."""

    def __init__(self, app: Celery, management: Management | None = None) -> None:
        self._line = Line(app)
        self._management = management
        self._is_silent = False
        self._told: Mapping[str, Told] = {}
        self._asked_at = -math.inf

    def read(self, queues: Sequence[str]) -> Reading:
        """Ask about queues; raises when RabbitMQ is away."""
        connection = self._line.connection()
        self._ask_management(connection)
        depths: dict[str, Depth] = {}
        unread: dict[str, str] = {}
        channel: Any = None
        for queue in queues:
            channel = channel or connection.channel()
            try:
                depths[queue] = _depth(channel, queue, self._told.get(queue, Told()))
            except ChannelError as error:
                # It is not there, or this user may not see it. The broker has closed the channel.
                unread[queue], channel = str(error), None
        if channel:
            channel.close()
        return Reading(depths=depths, unread=unread, held_delayed=self._held_delayed())

    def close(self) -> None:
        """Give the connection up."""
        self._line.close()

    def _held_delayed(self) -> dict[str, int]:
        told = {name: self._told[name].held_dead for name in DELAY_QUEUES if name in self._told}
        return {name: held for name, held in told.items() if held is not None}

    def _ask_management(self, connection: Any) -> None:  # noqa: ANN401 # kombu's
        now = time.monotonic()
        if self._management is None or now - self._asked_at < MANAGEMENT_SECONDS:
            return
        self._asked_at, self._told = now, {}
        try:
            self._told = self._management.queues(
                connection.virtual_host or "/",
                username=connection.userid or "",
                password=connection.password or "",
            )
        except OSError as error:
            if not self._is_silent:
                logger.warning(
                    "What workers hold and which nodes have copies is not known: %s", error
                )
            self._is_silent = True
        else:
            self._is_silent = False


def _depth(channel: Any, queue: str, told: Told) -> Depth:  # noqa: ANN401 # kombu's
    declared = channel.queue_declare(queue=queue, passive=True)
    return Depth(
        ready=int(declared.message_count),
        consumers=int(declared.consumer_count),
        unacked=told.unacked,
        held_dead=told.held_dead,
        members=told.members,
        online_members=told.online_members,
    )
