"""A broken TLS connection beside a good one.

From Python 3.13.2 on the good one breaks as well, unless that is mended. An older one
that runs these tests cannot fail the second: tests/cluster/production runs it in the image.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.certificates import Authority

HERE = Path(__file__).parent
START_OF_A_WORKER = """
import ssl, sys
sys.argv = ["celery", "worker"]
import celery_runtime.app
assert ssl.SSLContext.sslsocket_class.__module__ == "celery_runtime.tls"
"""


def test_a_worker_starts_with_connections_kept_apart() -> None:
    environment = {**os.environ, "CELERY_APP": "journal:app", "PYTHONPATH": str(HERE / "apps")}
    python("-c", START_OF_A_WORKER, **environment)


def test_a_connection_that_breaks_leaves_the_others_alone() -> None:
    pair = Authority().signed("localhost")
    texts = (pair.certificate.decode(), pair.key.decode())
    assert python(HERE / "two_connections.py", *texts, **os.environ)[1] == "SSLWantReadError"


def python(*arguments: str | Path, **environment: str) -> list[str]:
    """What a Python of its own prints, line by line."""
    run = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return run.stdout.splitlines()
