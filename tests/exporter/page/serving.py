"""The page behind the server that the exporter has, with a deployment that a test changes."""

import threading
from dataclasses import dataclass, field
from typing import Literal

from celery_exporter.overview import Overview
from celery_exporter.page import pages
from celery_runtime.health.probes import Verdict
from celery_runtime.health.server import Made, Response, Server
from tests.exporter.page import samples


class Well:
    """Nothing here is about probes."""

    def live(self) -> Verdict:
        return Verdict(True, "well")

    ready = live


@dataclass
class Site:
    """What is shown, and whether it answers."""

    overview: Overview = field(default_factory=samples.afternoon)
    trouble: Literal["", "gone", "proxy", "silent"] = ""
    asked: int = 0
    #: A test's end, so that no answer is held back any longer.
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        served = pages(lambda: self.overview)
        self._front = served["/"]
        self._server = Server(Well(), port=0, pages={**served, "/": self._answer})
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/"

    def _answer(self) -> Made:
        self.asked += 1
        if self.trouble == "gone":
            raise ConnectionResetError
        if self.trouble == "silent":
            self.over.wait(60)
        if self.trouble == "proxy":
            return Response(kind="text/html", body="<main><h1>Sign in</h1></main>")
        return self._front()
