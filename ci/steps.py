"""Running commands so that a person sees what happens, and finds out why when it does not.

A step has a title; its commands write into one log file, named when the step fails. On a
terminal a spinner shows the time that has passed; elsewhere one line starts a step and one ends it.
"""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ci.paths import LOGS

console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = 112  # a log has no width of its own; tables need this much
TAIL_LINES = 25


class Problem(Exception):
    """Something that the person at the keyboard has to know; its text says what to do."""


class CommandFailed(Problem):
    """A command of a step ended with an error; its text ends with the last lines of the log."""

    def __init__(self, title: str, code: int, log: Path) -> None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        super().__init__(f"{title}: exit code {code}\n{tail}\n\nThe whole log: {log}")


@dataclass(frozen=True)
class Step:
    """One titled piece of work and the log that its commands write."""

    title: str
    log: Path
    stream: IO[bytes]

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run one command to its end; raises CommandFailed."""
        self.stream.write(f"$ {' '.join(map(str, command))}\n".encode())
        self.stream.flush()
        code = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self.stream,
            stderr=self.stream,
            check=False,
        ).returncode
        if code:
            raise CommandFailed(self.title, code, self.log)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show one piece of work from its start to its end, with the seconds that it took."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / (re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-") + ".log")
    started = time.monotonic()
    with log.open("wb") as stream, _shown(title):
        yield Step(title, log, stream)
    console.print(f"[green]✓[/green] {title} [dim]{time.monotonic() - started:.0f} s[/dim]")


@contextmanager
def _shown(title: str) -> Iterator[None]:
    if not console.is_terminal:
        console.print(f"… {title}")
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(title, total=None)
        yield


def capture(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> str:
    """Return what a short command prints; raises Problem with its error text."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout}")
    return done.stdout


def succeeds(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 60,
) -> bool:
    """Tell whether a command exists, ends within its time and ends well."""
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, check=False, timeout=timeout_seconds
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
