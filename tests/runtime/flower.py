"""Flower as a process of its own, and what it shows."""

import base64
import json
from http.client import HTTPConnection
from typing import Any

from tests.runtime.conftest import Service, wait_until

LOGIN = "flower:s3cret"


class Flower:
    """What answers on a port."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.port = port
        wait_until(self._answers, "Flower answers")

    def ask(self, path: str, login: str | None = None, *, method: str = "GET") -> tuple[int, str]:
        """The status and the page."""
        headers = {} if login is None else {"Authorization": f"Basic {encoded(login)}"}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def wait_for(self, state: str, task_id: str) -> None:
        """Until it shows a task in this state."""

        def shown() -> bool:
            tasks: dict[str, Any] = json.loads(self.ask("/api/tasks", LOGIN)[1])
            return str(tasks.get(task_id, {}).get("state")) == state

        wait_until(shown, f"{task_id} is shown as {state}", seconds=30)

    def _answers(self) -> bool:
        assert self.service.process.poll() is None, self.service.log.read_text()
        try:
            return self.ask("/healthcheck")[0] == 200
        except OSError:
            return False


def encoded(text: str) -> str:
    """As a Secret and a login have it."""
    return base64.b64encode(text.encode()).decode()
