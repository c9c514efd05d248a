"""A connection for questions, which is kept from one to the next."""

from typing import Any

from celery import Celery
from celery.utils.threads import bound_open_broker_sockets

#: A broker that takes longer is one that does not answer.
ANSWER_SECONDS = 5


class Line:
    """A connection to an app's broker on which nothing waits for ever."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None

    def connection(self) -> Any:  # noqa: ANN401 # kombu's types are half there
        """The open connection; raises what the transport raises when the broker is away."""
        if self._connection is None:
            self._connection = self._app.connection_for_read(
                connect_timeout=ANSWER_SECONDS,
                transport_options={
                    "socket_timeout": ANSWER_SECONDS,
                    "socket_connect_timeout": ANSWER_SECONDS,
                },
            )
            # Once: the next question comes soon enough.
            self._connection.ensure_connection(max_retries=0)
        bound_open_broker_sockets(self._connection, ANSWER_SECONDS)
        return self._connection

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()
