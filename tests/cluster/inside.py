"""Commands inside a pod, of which it is known how they ended.

`kubectl exec` ends with 0 where its stream broke off (kubectl's issue 1726), and it does break off:
a ping that the API server sends every 5 s may meet the end of a command, whereupon kubelet drops
all that it has not passed on yet ("broken pipe" in its log). Of 2,297 commands of 5 s on busy cores
4 had no output. Here a command ends when its output has arrived.
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ci.steps import Problem

END = "ended with "
#: Tells how a command ended, and stays until that was heard: its input is then closed.
SAYS_HOW_IT_ENDED = (
    *("sh", "-c"),
    f'"$@" </dev/null; code=$?; printf "\\n%s\\n" "{END}$code"; read -r _; exit $code',
    "sh",
)


class AnswerLost(Problem):
    """The command ran, perhaps to its end; what it printed did not arrive."""


def run(
    exec_: Sequence[str | Path], command: Sequence[str], *, env: Mapping[str, str]
) -> tuple[int, str, str]:
    """Return a command's exit code, output and errors; takes `kubectl exec --stdin POD`.

    Raises AnswerLost, and Problem where the command did not run.
    """
    line = [*exec_, "--", *SAYS_HOW_IT_ENDED, *command]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            line,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as running,
    ):
        said, code = _heard(running)
        running.communicate()
        errors.seek(0)
        complaint = errors.read()
    if code is not None:
        return code, said, complaint
    if running.returncode:
        raise Problem(f"{' '.join(map(str, exec_))}: {complaint.strip()}")
    raise AnswerLost(f"{' '.join(map(str, exec_))}: no answer came of {' '.join(command)[:200]}")


def _heard(running: "subprocess.Popen[str]") -> tuple[str, int | None]:
    lines: list[str] = []
    for line in running.stdout or ():
        if line.startswith(END):
            return "".join(lines).removesuffix("\n"), int(line.removeprefix(END))
        lines.append(line)
    return "", None
