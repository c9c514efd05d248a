"""A port of the cluster on loopback: what is asked often then costs no process."""

import subprocess
from functools import cached_property

from ci.demo import Target
from ci.steps import Problem


class Forward:
    """A forwarded port of a workload's pod; opened by its first use, and again after `close`."""

    def __init__(self, target: Target, workload: str, port: int) -> None:
        self._target = target
        self._workload = workload
        self._port = port

    @property
    def port(self) -> int:
        """Where it is on 127.0.0.1; raises Problem where no pod has it."""
        return self._open[1]

    def close(self) -> None:
        """Let go of the port."""
        if "_open" in self.__dict__:
            process, _ = self.__dict__.pop("_open")
            process.kill()
            process.communicate()

    @cached_property
    def _open(self) -> tuple["subprocess.Popen[str]", int]:
        words = ("port-forward", self._workload, "--address=127.0.0.1", f":{self._port}")
        process = subprocess.Popen(
            [str(word) for word in self._target.kubectl(*words)],
            env=self._target.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        # Forwarding from 127.0.0.1:40001 -> 5432
        told = process.stdout.readline()
        if " -> " not in told:
            raise Problem(f"no port {self._port} of {self._workload}: {process.communicate()[1]}")
        return process, int(told.partition(" -> ")[0].rpartition(":")[2])
