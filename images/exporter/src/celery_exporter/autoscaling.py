"""Everything that scales worker groups, together: the board, who reads for it and who answers."""

import logging
from collections.abc import Callable, Mapping, Sequence

from celery_exporter import externalmetrics, scalein
from celery_exporter.externalmetrics import proxy
from celery_exporter.groups import Groups
from celery_exporter.kubernetes import Kubernetes
from celery_exporter.options import Options
from celery_exporter.readings import Pod
from celery_exporter.scaler import Scaler
from celery_exporter.scaling import Board, metrics
from celery_exporter.scaling.board import Fleet

MARK_SECONDS = 1.0

#: Calls something again and again, so many seconds apart, in a thread of its own.
Repeat = Callable[[Callable[[], None], Callable[[], float]], None]
#: Takes the pods each time they were read; None where they could not be.
Sink = Callable[[Sequence[Pod] | None], None]

logger = logging.getLogger(__name__)


class Autoscaling:
    """The threads and servers; `board` is what is known."""

    def __init__(
        self,
        groups: Groups,
        fleet: Fleet,
        chosen: Options,
        *,
        dead_letters: Mapping[str, str],
        outage_seconds: float,
        patch: scalein.Patch | None = None,
    ) -> None:
        #: What else wants to know the pods.
        self.sink: Sink = _ignore
        self.board = Board(
            list(groups.by_name.values()), dead_letters=dead_letters, outage_seconds=outage_seconds
        )
        self._fleet = fleet
        self._marker = scalein.Marker(patch or scalein.patcher(Kubernetes(groups.namespace)))
        self.scaler = Scaler(self.board, port=chosen.scaler_port, tls_directory=chosen.scaler_tls)
        self.api = (
            externalmetrics.Server(
                lambda: self.board.view,
                proxy.read,
                namespace=groups.namespace,
                port=chosen.api_port,
                tls_directory=chosen.api_tls,
            )
            if chosen.api_tls
            else None
        )

    def start(self, repeat: Repeat) -> None:
        """Begin to read, to plan and to answer.

        Raises:
            PortTakenError: a port cannot be listened on.

        """
        self.scaler.start()
        if self.api is not None:
            self.api.start()
        repeat(self._read_fleet, lambda: self._fleet.interval_seconds)
        # By another thread: Kubernetes may take its time, and pods are to be read meanwhile.
        repeat(self._mark, lambda: MARK_SECONDS)
        logger.info("Scaling %s.", ", ".join(self.board.scaled()) or "no group")

    def stop(self) -> None:
        """Answer no more."""
        self.scaler.stop()
        if self.api is not None:
            self.api.stop()

    def page(self) -> str:
        """What Prometheus scrapes of it."""
        return metrics.page(
            self.board.view,
            streams=self.scaler.streams,
            patched=self._marker.patched,
            refused=self._marker.refused,
        )

    def _read_fleet(self) -> None:
        self.sink(self.board.read_fleet(self._fleet))

    def _mark(self) -> None:
        self._marker.mark(scalein.changes(self.board.view.plans))


def _ignore(_: object) -> None:
    """Nobody else does."""
