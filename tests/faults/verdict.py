"""From what the ledger and the dead letters hold to what was kept of the promise: pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

#: The reason of a task that its chord's parts never lead to.
PART_DIED = "part_died"


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the ledger has of one task of a run."""

    task_id: str
    queue: str
    #: Whether it is one that kills its process.
    poison: bool
    #: When it was sent; None of one that the broker has not confirmed.
    sent_at: datetime | None
    finished_at: datetime | None
    starts: int
    #: Starts that it asked for itself.
    retries: int
    #: Rows that it has left behind, and attempts to leave another.
    effects: int
    repeated: int

    @property
    def chord(self) -> str:
        """The task that waits for this one; empty where none does."""
        return self.task_id.rpartition(".")[0]


@dataclass(frozen=True)
class Strike:
    """One fault, as it happened; those that came at once have one beginning."""

    name: str
    at: datetime
    over_at: datetime
    #: Why it could not be struck to its end, as where its pod had just gone.
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Where every accepted task is. Stuck, lost and doubled have to be empty."""

    accepted: int
    done: int
    #: Of what those died that are not done, and which of them do not kill.
    dead: Mapping[str, int]
    dead_by_chance: Sequence[str]
    #: Done, and among the dead letters as well: died after its effect, before its end.
    done_and_dead: int
    #: Still in its queue, or with a worker, when the time to settle was over.
    stuck: Sequence[str]
    #: Nowhere.
    lost: Sequence[str]
    #: With more than one effect.
    doubled: Sequence[str]
    #: Done, though the producer was not told that they were accepted.
    unconfirmed: int
    #: Tasks that came back after a retry of their own.
    retried: int
    #: Starts beyond each task's first and its retries, and effects that were there already.
    redelivered: int
    repeated: int

    @property
    def kept(self) -> bool:
        """Whether every accepted task was done once in effect, or is in its dead letters."""
        return not self.broken

    @property
    def broken(self) -> list[str]:
        """The tasks that the promise was broken with."""
        return [*self.lost, *self.doubled, *self.stuck]


def judge(lines: Iterable[Line], dead: Mapping[str, str], waiting: Collection[str] = ()) -> Verdict:
    """Account for every line, with what each dead message died of, and those that still wait.

    A dead letter without a reason is no account of its task. What a chord leads to does not begin
    where one of its parts died, which are called as it is, and a dot, and their number.
    """
    lines = list(lines)
    dead = {task_id: reason for task_id, reason in dead.items() if reason}
    accepted = [line for line in lines if line.sent_at]
    undone = [line for line in accepted if not line.effects]
    dead |= {line.chord: PART_DIED for line in undone if line.chord and line.task_id in dead}
    gone = [line.task_id for line in undone if line.task_id not in dead]
    died = [line for line in undone if line.task_id in dead]
    return Verdict(
        accepted=len(accepted),
        done=len(accepted) - len(undone),
        dead=dict(Counter(dead[line.task_id] for line in died)),
        dead_by_chance=[line.task_id for line in died if not line.poison],
        done_and_dead=sum(line.task_id in dead for line in accepted if line.effects),
        stuck=[task_id for task_id in gone if task_id in waiting],
        lost=[task_id for task_id in gone if task_id not in waiting],
        doubled=[line.task_id for line in lines if line.effects > 1],
        unconfirmed=sum(not line.sent_at and line.effects > 0 for line in lines),
        retried=sum(line.retries > 0 for line in lines),
        redelivered=sum(max(line.starts - 1 - line.retries, 0) for line in lines),
        repeated=sum(line.repeated for line in lines),
    )


def silence_seconds(at: datetime, until: datetime, lines: Iterable[Line]) -> float:
    """The longest time between two moments in which a queue has finished no task.

    Tasks that slip through before the blow falls, and others that come one by one while it lasts,
    do not make it look shorter than it was. Without a fault it is what the traffic leaves.
    """
    finished: dict[str, list[datetime]] = {}
    for line in lines:
        if not line.sent_at:
            continue  # only its worker has told of it, who knows the key it came by, and no queue
        ends = finished.setdefault(line.queue, [])
        if line.finished_at and at < line.finished_at < until:
            ends.append(line.finished_at)
    return max(
        (later - earlier).total_seconds()
        for ends in finished.values()
        for earlier, later in pairwise([at, *sorted(ends), until])
    )
