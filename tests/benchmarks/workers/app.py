"""An application whose task notes when it ran, on plain settings or mounted ones."""

import ast
import os
import struct
import time

from celery import Celery

#: What a task writes: when it was sent and when it began, in seconds.
RECORD = struct.Struct("dd")

app = Celery("bench")
app.conf.update(ast.literal_eval(os.environ.get("PLAIN_SETTINGS", "{}")))
_notes = -1


@app.task(name="bench.note", ignore_result=True)
def note(sent_at: float) -> None:
    """Do nothing else."""
    _note(sent_at)


@app.task(name="bench.compute", ignore_result=True)
def compute(sent_at: float, seconds: float) -> None:
    """Use so much CPU, by the thread's own clock: as much on a machine that others use, too."""
    end = time.thread_time() + seconds
    _note(sent_at)
    while time.thread_time() < end:
        pass


@app.task(name="bench.wait", ignore_result=True)
def wait(sent_at: float, seconds: float) -> None:
    """Wait, as for an answer."""
    _note(sent_at)
    time.sleep(seconds)


def _note(sent_at: float) -> None:
    """Append a record, which is atomic for so few bytes: write(2), O_APPEND."""
    global _notes  # each process opens the file once
    if _notes < 0:
        _notes = os.open(os.environ["NOTES"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(_notes, RECORD.pack(sent_at, time.time()))
