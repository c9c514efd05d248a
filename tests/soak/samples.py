"""What each pod of a namespace holds: memory, file descriptors, connections, zombies."""

from typing import Any

from ci import cluster
from tests.cluster.nodes import Nodes
from tests.cluster.shop import Shop
from tests.soak.verdict import Sample

#: Of each process: the id of its pod, its own, its state, KiB that it has (its part of what it
#: shares), open files, and those of them that are sockets. Processes that end meanwhile are left
#: out.
SCRIPT = r"""
cd /proc
for pid in [0-9]*; do
  pod=$(sed -n 's/.*[/-]pod\([0-9a-f_-]*\).*/\1/p' $pid/cgroup 2>/dev/null | head -n 1)
  [ -n "$pod" ] || continue
  state=$(sed 's/.*) //; s/ .*//' $pid/stat 2>/dev/null)
  memory=$(sed -n 's/^Pss: *\([0-9]*\).*/\1/p' $pid/smaps_rollup 2>/dev/null)
  links=$(ls -l $pid/fd 2>/dev/null | grep -c -e '->')
  sockets=$(ls -l $pid/fd 2>/dev/null | grep -c 'socket:')
  echo "$pod $pid ${state:-?} ${memory:-0} $links $sockets"
done
"""


def look(shop: Shop) -> dict[str, Sample]:
    """Every pod of the shop's namespace, by its name."""
    return read(shop.get("pods")["items"], Nodes(cluster.current()).run(SCRIPT))


def read(pods: list[Any], printed: str) -> dict[str, Sample]:
    """What the script printed of the processes of these pods."""
    found = {pod["metadata"]["name"]: _sample(pod) for pod in pods}
    by_uid = {sample.uid.replace("-", "_"): sample for sample in found.values()}
    for line in printed.splitlines():
        uid, pid, state, kib, files, sockets = line.split()
        if sample := by_uid.get(uid.replace("-", "_")):
            sample.mib += int(kib) / 1024
            sample.files += int(files)
            sample.sockets += int(sockets)
            if state == "Z":
                sample.zombies.add(int(pid))
    return found


def _sample(pod: Any) -> Sample:  # noqa: ANN401
    containers = pod["status"].get("containerStatuses", [])
    restarts = sum(container["restartCount"] for container in containers)
    return Sample(uid=pod["metadata"]["uid"], restarts=restarts)
