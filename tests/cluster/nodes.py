"""The machines that a cluster runs on, for what Kubernetes does not offer."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ci.cluster import Cluster
from ci.steps import Problem


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
        self.run("iptables-restore --noflush", "\n".join(lines))

    @contextmanager
    def first(self, chain: str, *, hook: str = "FORWARD", table: str = "filter") -> Iterator[None]:
        """Ask a chain before all others of a hook, for as long as it lasts."""
        iptables = f"iptables --table {table}"
        # As often as it was put there: a run that was killed has left it.
        released = f"while {iptables} -D {hook} -j {chain} 2>/dev/null; do :; done"
        self.run(f"{released}; {iptables} -I {hook} -j {chain}")
        try:
            yield
        finally:
            self.run(released)
