"""RabbitMQ's management API, for what AMQP does not tell."""

import base64
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from celery_runtime.errors import SettingsError

ANSWER_SECONDS = 5
_COLUMNS = "name,messages_unacknowledged"


class Management:
    """The API at a URL, with the broker's own credentials."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "CELERY_EXPORTER_MANAGEMENT_URL must be a URL as http://jobs-rabbitmq:15672."
            )
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._where = (parts.hostname, parts.port or (15671 if parts.scheme == "https" else 15672))

    def unacked(self, vhost: str, *, username: str, password: str) -> Mapping[str, int]:
        """What workers hold of each queue.

        Raises:
            OSError: the API does not answer, or not with what was asked.

        """
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        connection = self._kind(*self._where, timeout=ANSWER_SECONDS)
        try:
            connection.request(
                "GET",
                f"/api/queues/{quote(vhost, safe='')}?columns={_COLUMNS}",
                headers={"Authorization": f"Basic {login}"},
            )
            answer = connection.getresponse()
            return _counts(answer.status, answer.read())
        except HTTPException as error:
            raise OSError(f"The management API does not speak HTTP: {error!r}") from error
        finally:
            connection.close()


def _counts(status: int, body: bytes) -> dict[str, int]:
    if status != 200:
        raise OSError(
            f"The management API answers {status}. Has the user the tag monitoring or management?"
        )
    try:
        queues: list[dict[str, Any]] = orjson.loads(body)
        # A queue that was declared just now has no statistics yet.
        return {
            str(queue["name"]): int(queue["messages_unacknowledged"])
            for queue in queues
            if "messages_unacknowledged" in queue
        }
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(f"The management API answers something else: {error!r}") from error
