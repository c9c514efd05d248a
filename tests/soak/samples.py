"""What each pod of a namespace holds: memory, file descriptors, connections, zombies."""

from collections import defaultdict
from dataclasses import dataclass

from ci import cluster
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop

#: Of each process: the id of its pod, its state, KiB that it has (its part of what it shares),
#: open files, and those of them that are sockets. Processes that end meanwhile are left out.
SCRIPT = r"""
cd /proc
for pid in [0-9]*; do
  pod=$(sed -n 's/.*[/-]pod\([0-9a-f_-]*\).*/\1/p' $pid/cgroup 2>/dev/null | head -n 1)
  [ -n "$pod" ] || continue
  state=$(sed 's/.*) //; s/ .*//' $pid/stat 2>/dev/null)
  memory=$(sed -n 's/^Pss: *\([0-9]*\).*/\1/p' $pid/smaps_rollup 2>/dev/null)
  links=$(ls -l $pid/fd 2>/dev/null | grep -c -e '->')
  sockets=$(ls -l $pid/fd 2>/dev/null | grep -c 'socket:')
  echo "$pod ${state:-?} ${memory:-0} $links $sockets"
done
"""


@dataclass
class Sample:
    """One pod at one moment."""

    mib: float = 0
    files: int = 0
    sockets: int = 0
    zombies: int = 0


def look(shop: Shop) -> dict[str, Sample]:
    """Every pod of the shop's namespace that runs, by its name."""
    pods = {
        pod["metadata"]["uid"].replace("-", "_"): pod["metadata"]["name"]
        for pod in shop.get("pods")["items"]
    }
    found: dict[str, Sample] = defaultdict(Sample)
    for line in Nodes(cluster.current()).run(SCRIPT).splitlines():
        uid, state, kib, files, sockets = line.split()
        if name := pods.get(uid.replace("-", "_")):
            sample = found[name]
            sample.mib += int(kib) / 1024
            sample.files += int(files)
            sample.sockets += int(sockets)
            sample.zombies += state == "Z"
    return dict(found)
