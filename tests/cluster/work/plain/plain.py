"""An application that knows nothing of this project, nor where its broker is."""

import socket
import time

from celery import Celery

app = Celery("plain")
app.conf.task_track_started = True


@app.task
def hold(seconds: float) -> str:
    time.sleep(seconds)
    return socket.gethostname()
