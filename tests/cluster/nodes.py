"""The machines that a cluster runs on, for what Kubernetes does not offer."""

import subprocess

from ci.cluster import Cluster
from ci.steps import Problem


class Nodes:
    """The nodes of a cluster, for commands on each of them."""

    def __init__(self, found: Cluster) -> None:
        self._found = found
        self._names = found.nodes()

    def run(self, script: str, text: str = "") -> None:
        """Run a line of shell on every node, with a text to read; raises Problem."""
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
