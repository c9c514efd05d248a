"""What befalls the machines that pods run on."""

import time

from ci.steps import Problem
from tests.faults.strikes.field import LASTING_SECONDS, OWN, WORKERS, Field

#: Those that a claim binds to their machine cannot go elsewhere, and their budget keeps the rest.
MOVABLE = f"{OWN},app.kubernetes.io/name=celery"
#: Pods whose clock can be set; see clock/Containerfile.
OFF = f"{WORKERS},celery-worker-group=io-canary"
CLOCK = "/tmp/clock"  # noqa: S108 # a pod's own
LEAST_SECONDS_OFF, MOST_SECONDS_OFF = 120, 600
#: A clock that is set is looked at once in a while.
TOLERANCE_SECONDS = 15


def drain_node(field: Field) -> None:
    """Empty a machine, as before its kernel is replaced, and take it back."""
    names = sorted(node["metadata"]["name"] for node in field.shop.get("nodes")["items"])
    name = field.chance.choice(names)
    options = (f"--pod-selector={MOVABLE}", "--delete-emptydir-data", "--ignore-daemonsets")
    try:
        field.shop.kubectl("drain", name, *options, "--timeout=300s")
    finally:
        field.shop.kubectl("uncordon", name)


def set_clock(field: Field) -> None:
    """Let the clock of one worker's pod be wrong by minutes for a while."""
    off = field.chance.choice((-1, 1)) * field.chance.randint(LEAST_SECONDS_OFF, MOST_SECONDS_OFF)
    pod = field.pod(OFF)
    _set(field, pod, off)
    time.sleep(LASTING_SECONDS)
    told = int(field.shop.exec(pod, "date", "+%s")) - time.time()
    _set(field, pod, 0)
    if abs(told - off) > TOLERANCE_SECONDS:
        raise Problem(f"the clock of {pod} was off by {told:.0f} s, not by {off}")


def _set(field: Field, pod: str, seconds: int) -> None:
    field.shop.exec(pod, "sh", "-c", f"echo {seconds:+d} >{CLOCK}")
