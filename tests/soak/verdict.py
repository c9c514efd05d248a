"""From what was seen of pods to what is wrong with them: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.trend import Trend, trend

#: Caches fill and pools grow at first: a part of the time that no growth is judged in.
WARM_UP = 0.2
#: By how much a figure may grow over the whole time: a share of it, or so much.
SHARE = 0.05
LEAST = {"mib": 4, "files": 3, "sockets": 3}
#: The ledger has a row more for each task, and its server more of them in memory.
MAY_GROW = "shop-postgres-0"
#: One that has just ended and not been waited for yet is nothing.
ZOMBIE_MINUTES = 1


@dataclass(kw_only=True)
class Sample:
    """One pod at one moment; without memory or files where it could not be seen."""

    #: A StatefulSet's pod that is replaced keeps its name.
    uid: str = ""
    restarts: int = 0
    mib: float = 0
    files: int = 0
    sockets: int = 0
    #: The ids of processes that have ended and were not waited for.
    zombies: set[int] = field(default_factory=set)

    @property
    def seen(self) -> bool:
        """Whether there was anything to read."""
        return self.mib > 0 and self.files > 0


#: Minutes since the beginning, and each pod by its name.
Samples = Sequence[tuple[float, Mapping[str, Sample]]]
NOTHING = Sample()


def settled(samples: Samples) -> Samples:
    """What was seen after the warm-up."""
    return [each for each in samples if each[0] >= WARM_UP * samples[-1][0]]


def trends(samples: Samples) -> dict[str, dict[str, Trend]]:
    """The figures of each pod that was seen at every look, after the warm-up."""
    judged = settled(samples)
    if len(judged) < 2:
        return {}
    minutes = [minute for minute, _ in judged]
    found = {}
    for pod in _pods(judged):
        seen = [each.get(pod, NOTHING) for _, each in judged]
        if all(sample.seen for sample in seen):
            found[pod] = {
                name: trend(minutes, [float(getattr(sample, name)) for sample in seen])
                for name in LEAST
            }
    return found


def judge(samples: Samples) -> list[str]:
    """What is wrong, a line each. Nothing scales here: every pod is to be there at every look."""
    found = trends(samples)
    wrong = [] if found.keys() - {MAY_GROW} else ["no pod was judged"]
    wrong += [
        f"{pod}: {name} grow by {each.growth:.1f}"
        for pod, figures in found.items()
        for name, each in figures.items()
        if pod != MAY_GROW and not each.flat(share=SHARE, least=LEAST[name])
    ]
    for pod in _pods(samples):
        looks = [(minute, seen.get(pod, NOTHING)) for minute, seen in samples]
        wrong += [f"{pod}: {what}" for what in _breaks(looks)]
    return wrong


def _pods(samples: Samples) -> list[str]:
    return sorted({pod for _, seen in samples for pod in seen})


def _breaks(looks: Sequence[tuple[float, Sample]]) -> Iterator[str]:
    """What is not to happen to a pod; a figure that begins anew hides how it grew."""
    unseen = [minute for minute, sample in looks if not sample.seen]
    if unseen:
        yield f"not seen at {len(unseen)} of {len(looks)} looks, first at minute {unseen[0]:.0f}"
    known = [sample for _, sample in looks if sample.uid]
    if len({sample.uid for sample in known}) > 1:
        yield "replaced by another one"
    restarts = [sample.restarts for sample in known]
    if max(restarts) > restarts[0]:
        yield f"{max(restarts) - restarts[0]} restarts"
    if lasting := _lasting(looks):
        yield f"zombies stay: {', '.join(map(str, sorted(lasting)))}"


def _lasting(looks: Sequence[tuple[float, Sample]]) -> set[int]:
    """The processes that were zombies at look after look, for too long."""
    since: dict[int, float] = {}
    found: set[int] = set()
    for minute, sample in looks:
        since = {pid: since.get(pid, minute) for pid in sample.zombies}
        found |= {pid for pid, began in since.items() if minute - began > ZOMBIE_MINUTES}
    return found
