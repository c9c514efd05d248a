"""RabbitMQ's management API, for what AMQP does not tell."""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from celery_runtime.errors import SettingsError

ANSWER_SECONDS = 5
_COLUMNS = "name,messages_unacknowledged,messages_dlx,members,online"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the API tells of a queue; None is what it does not tell, or not yet."""

    unacked: int | None = None
    #: Messages that have died in a quorum queue, and are not where its dead letters go yet.
    held_dead: int | None = None
    #: Nodes that hold a copy of a quorum queue, and those of them that are there.
    members: int | None = None
    online_members: int | None = None


class Management:
    """The API at a URL, with the broker's own credentials and authority."""

    def __init__(self, url: str, *, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "CELERY_EXPORTER_MANAGEMENT_URL must be a URL as http://jobs-rabbitmq:15672."
            )
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._where = (parts.hostname, parts.port or (15671 if self._tls else 15672))

    def queues(self, vhost: str, *, username: str, password: str) -> Mapping[str, Told]:
        """What it tells of each queue.

        Raises:
            OSError: the API does not answer, or not with what was asked.

        """
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        connection = (
            HTTPSConnection(*self._where, timeout=ANSWER_SECONDS, context=self._tls)
            if self._tls
            else HTTPConnection(*self._where, timeout=ANSWER_SECONDS)
        )
        try:
            connection.request(
                "GET",
                f"/api/queues/{quote(vhost, safe='')}?columns={_COLUMNS}",
                headers={"Authorization": f"Basic {login}"},
            )
            answer = connection.getresponse()
            return _queues(answer.status, answer.read())
        except HTTPException as error:
            raise OSError(f"The management API does not speak HTTP: {error!r}") from error
        finally:
            connection.close()


def _queues(status: int, body: bytes) -> dict[str, Told]:
    if status != 200:
        raise OSError(
            f"The management API answers {status}. Has the user the tag monitoring or management?"
        )
    try:
        queues: list[dict[str, Any]] = orjson.loads(body)
        return {str(queue["name"]): _told(queue) for queue in queues}
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(f"The management API answers something else: {error!r}") from error


def _told(queue: Mapping[str, Any]) -> Told:
    # A queue that was declared just now has no statistics yet, and a classic one no members.
    unacked, held = queue.get("messages_unacknowledged"), queue.get("messages_dlx")
    members, online = queue.get("members"), queue.get("online")
    return Told(
        unacked=None if unacked is None else int(unacked),
        held_dead=None if held is None else int(held),
        members=None if members is None else len(members),
        online_members=None if online is None else len(online),
    )
