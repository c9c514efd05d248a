"""kombu under gevent, in an interpreter of its own: the patching cannot be undone."""

import subprocess
import sys

PATCHED_AS_CELERY_DOES_IT = """
import sys
sys.argv = ["celery", "worker", "--pool=gevent"]
import celery.__main__
celery.__main__.maybe_patch_concurrency()
import time
from kombu.utils import functional
from celery_runtime import green
before = functional.sleep is time.sleep
green.finish_patching()
print(before, functional.sleep is time.sleep)
"""


def test_kombu_s_retries_let_other_greenlets_run() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PATCHED_AS_CELERY_DOES_IT], check=True, capture_output=True
    )
    # Once the first is True, the module under test has nothing left to do.
    assert run.stdout.split() == [b"False", b"True"]
