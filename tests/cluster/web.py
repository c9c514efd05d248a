"""The shop's web API, asked from outside the cluster: a producer that stays."""

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

from ci.steps import Problem
from tests.cluster.forward import Forward

#: More than a broker is given to confirm a message.
ANSWER_SECONDS = 40


class Refused(Problem):
    """The shop has answered, and does not do it."""


class Web:
    """The web server behind a forwarded port; opened by the first request, and again when lost."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401
        """Return what a request answers; raises Refused, or Problem where there is no answer."""
        try:
            return self._ask(path, body)
        except OSError:
            # The pod may be another one by now; the way to one that has gone may be silent.
            self.close()
        try:
            return self._ask(path, body)
        except OSError as error:
            raise Problem(f"the shop's web server does not answer: {error}") from error

    def close(self) -> None:
        """Let go of the port."""
        self._forward.close()

    def _ask(self, path: str, body: object) -> Any:  # noqa: ANN401
        url = f"http://127.0.0.1:{self._forward.port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            raise Refused(f"{path}: {error.status} {error.read().decode()}") from error
