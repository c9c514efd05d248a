"""How much is remembered of what comes in."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is remembered; beyond it everything is counted, under the name `other`."""

    names: int = 1000
    workers: int = 5000
    queues: int = 1000
    exceptions: int = 200
    rows: int = 100_000
    #: Sent and not yet received, held by workers, ended a while ago.
    waiting: int = 100_000
    held: int = 100_000
    ended: int = 20_000
