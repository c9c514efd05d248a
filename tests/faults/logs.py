"""The logs of pods, kept on their machines when the pods are gone."""

from datetime import datetime, timedelta

from tests.cluster.nodes import Nodes

#: Where kubelet has the logs, and beside it, on the same disk, where they stay.
PODS = "/var/log/pods"
KEPT = "/var/log/kept"
#: Before a task was sent and after it was last seen, at the broker.
AROUND = timedelta(seconds=10)
MOST_LINES = 200


class Logs:
    """The logs of a namespace's pods from now on."""

    def __init__(self, nodes: Nodes, namespace: str) -> None:
        self._nodes, self._namespace = nodes, namespace
        nodes.run(f"rm -rf {KEPT}; mkdir -p {KEPT}")

    def keep(self) -> None:
        """Hold on to the files that there are: kubelet removes no more than its own name of one."""
        self._nodes.run(keeping(PODS, KEPT, self._namespace))

    def naming(self, task_id: str) -> list[str]:
        """Every line with a task's id, from whichever pod, by the time that it was written."""
        return _by_time(self._nodes.run(mentions(KEPT, task_id)))

    def broker(self, begin: datetime, end: datetime) -> list[str]:
        """What the broker's nodes wrote around these times."""
        told = self._nodes.run(between(KEPT, "rabbitmq", begin - AROUND, end + AROUND))
        return _by_time(told)[:MOST_LINES]


def keeping(pods: str, kept: str, namespace: str) -> str:
    """A script that links what is new; a pod may go while it looks."""
    return f"cp --recursive --link --update {pods}/{namespace}_* {kept}/ 2>/dev/null || true"


def mentions(kept: str, text: str) -> str:
    """A script that prints the time, the file and the words of each line with a text."""
    return f"cd {kept} && {{ grep --recursive --fixed-strings '{text}' . || true; }} | {FILE_LAST}"


def between(kept: str, container: str, begin: datetime, end: datetime) -> str:
    """A script that prints what containers of a name wrote from one time to another, in UTC."""
    times = f"-v begin={_stamp(begin)} -v end={_stamp(end)}"
    inside = '$1 >= begin && $1 <= end { print FILENAME ":" $0 }'
    found = f"find . -path '*/{container}/*.log' -exec awk {times} '{inside}' {{}} +"
    return f"cd {kept} && {found} | {FILE_LAST}"


#: Lines of kubelet begin with their time, which is to come first.
FILE_LAST = "sed -E 's|^\\./([^/]*)/[^:]*:([^ ]+) [a-z]+ [FP] |\\2 \\1 |'"


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def _by_time(lines: str) -> list[str]:
    return sorted(lines.splitlines())
