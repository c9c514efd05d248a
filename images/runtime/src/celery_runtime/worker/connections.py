"""Connections of a worker that say that they are lost."""

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery.app.amqp import Connection


def once_connected(connection: "Connection") -> "Connection":
    """Let a connection that is lost say so, where kombu would quietly make another.

    An acknowledgement or a heartbeat may be first to find the broker gone. The next use connects
    again, to no consumer and no mailbox: nothing comes any more, and nothing fails.
    """

    def ensure(*_: object, **__: object) -> object:
        if not connection.connected:
            raise OSError(errno.ENOTCONN, "The broker's connection was lost")
        return connection._connection

    connection._ensure_connection = ensure
    return connection
