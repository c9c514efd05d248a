"""The machines that a cluster runs on, for what Kubernetes does not offer."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ci.cluster import Cluster
from ci.steps import Problem

#: The iptables of kube-proxy: what the one kind has translated, the other's table nat never sees.
SAME = "for kind in nft legacy; do iptables-$kind -t nat -nL KUBE-SERVICES >&- 2>&- && break; done"


class Nodes:
    """The nodes of a cluster, for commands on each of them."""

    def __init__(self, found: Cluster) -> None:
        self._found = found
        self._names = found.nodes()

    def run(self, script: str, text: str = "") -> str:
        """Run shell on every node, with a text to read; return what all print; raises Problem."""
        printed = ""
        for name in self._names:
            command = self._found.engine.command("exec", "--interactive", name, "sh", "-c", script)
            done = subprocess.run(
                command,
                env=self._found.env,
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Problem(f"{name}: {script}: {done.stderr}")
            printed += done.stdout
        return printed

    def fill(self, rules: Sequence[str], *chains: str, table: str = "filter") -> None:
        """Give chains of iptables their rules, each in place of what it held, all at once."""
        lines = [f"*{table}", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""]
        self.run(f"{SAME}; iptables-$kind-restore --noflush", "\n".join(lines))

    @contextmanager
    def first(self, chain: str, *, hook: str = "FORWARD", table: str = "filter") -> Iterator[None]:
        """Ask a chain before all others of a hook, for as long as it lasts."""
        iptables = f"iptables-$kind --table {table}"
        # As often as it was put there: a run that was killed has left it.
        released = f"{SAME}; while {iptables} -D {hook} -j {chain} 2>/dev/null; do :; done"
        self.run(f"{released}; {iptables} -I {hook} -j {chain}")
        try:
            yield
        finally:
            self.run(released)

    def packets(self, chain: str, *, table: str = "filter") -> int:
        """Count what the rules of a chain have matched, on all machines."""
        listed = f"{SAME}; iptables-$kind --table {table} -nvxL {chain}"
        return sum(map(int, self.run(f"{listed} | awk 'NR > 2 {{print $1}}'").split()))
