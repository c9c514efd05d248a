"""Kubernetes' API, asked plainly: kr8s' own objects ask more often than they need to."""

import asyncio
from typing import Any

from kr8s.asyncio import Api
from kr8s.asyncio import api as connect

ANSWER_SECONDS = 5


class Kubernetes:
    """Asks by the pod's service account, outside of a cluster by a kubeconfig; of one thread."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._runner = asyncio.Runner()
        self._api: Api | None = None

    @property
    def is_found(self) -> bool:
        """Whether it is known where the API is, and who asks."""
        return self._api is not None

    def ask(self, path: str, method: str = "GET", **request: Any) -> Any:  # noqa: ANN401 # JSON
        """What it answers for `path` in the namespace; `request` as httpx takes it.

        Raises:
            TimeoutError: it does not answer within ANSWER_SECONDS.
            Exception: what kr8s, and its HTTP client, have to say.

        """
        return self._runner.run(self._ask(path, method, request))

    def close(self) -> None:
        """Give the connection up."""
        self._api = None
        self._runner.close()

    async def _ask(self, path: str, method: str, request: dict[str, Any]) -> Any:  # noqa: ANN401
        # Also for the first question, which kr8s bounds by nothing.
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._api is None:
                self._api = await connect()
            async with self._api.call_api(
                method, namespace=self.namespace, url=path, **request
            ) as answer:
                return answer.json()
