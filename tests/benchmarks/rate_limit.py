"""How exactly twenty workers of both pools keep one rate over a minute.

Takes a minute and a half, and two gigabytes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from tests.runtime.coordination.effects import Effects
from tests.runtime.redisserver import RedisServer

APPS = Path(__file__).parents[1] / "runtime/apps"
WORKERS = {"prefork": 10, "gevent": 10}
#: One task at a time in each prefork worker; what gevent is for in the others.
CONCURRENCY = {"prefork": 1, "gevent": 10}
START_SECONDS = 120
STOP_SECONDS = 30

WINDOW_SECONDS = 60
#: As sharedapp declares them.
RATE_PER_SECOND = 50
BURST = 1000
EXPECTED = WINDOW_SECONDS * RATE_PER_SECOND + BURST
MESSAGES = EXPECTED + 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mounted(tmp_path: Path, server: RedisServer) -> Path:
    """What the chart would mount."""
    settings = {
        "broker": {"kind": "redis"},
        "resultBackend": {"kind": "redis"},
        "defaultQueue": "default",
        "queues": {"default": {}},
    }
    urls = {"broker/url": f"{server.url}/1", "results/url": f"{server.url}/0"}
    for name, text in {**urls, "settings.json": json.dumps(settings)}.items():
        file = tmp_path / "mounted" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    return tmp_path / "mounted"


@pytest.fixture
def workers(mounted: Path, server: RedisServer) -> Iterator[Path]:
    """The logs of twenty workers that consume."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CELERY")},
        "PYTHONPATH": str(APPS),
        "CELERY_APP": "sharedapp:app",
        "CELERY_RUNTIME_DIR": str(mounted),
        "CELERY_RUNTIME_HEALTH_PORT": "0",
        "EFFECTS_URL": f"{server.url}/2",
    }
    log = mounted / "workers.log"
    started = []
    try:
        with log.open("ab") as output:
            for pool, count in WORKERS.items():
                for number in range(count):
                    command = [
                        str(Path(sys.executable).with_name("celery")),
                        *("-A", "celery_runtime.app", "worker", f"--pool={pool}"),
                        *(f"--concurrency={CONCURRENCY[pool]}", f"--hostname={pool}{number}@%h"),
                        *("--loglevel=info", "--queues=default", "--without-gossip"),
                        *("--without-mingle", "--without-heartbeat"),
                    ]
                    started.append(
                        subprocess.Popen(
                            command, env=environment, cwd=mounted, stdout=output, stderr=output
                        )
                    )
        wait(lambda: log.read_text().count(" ready.") == len(started), seconds=START_SECONDS)
        yield log
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait(condition: Callable[[], object], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def send(server: RedisServer) -> None:
    app = Celery("producer", broker=f"{server.url}/1", set_as_current=False)
    app.conf.update(task_default_queue="default", task_default_exchange_type="topic")
    with app.producer_pool.acquire() as producer:
        for _ in range(MESSAGES):
            app.send_task("shared.call", producer=producer, ignore_result=True)
    app.close()


def test_twenty_workers_run_the_rate_and_the_burst_within_one_percent(
    workers: Path, server: RedisServer
) -> None:
    send(server)
    with Redis.from_url(f"{server.url}/2", decode_responses=True) as redis:
        effects = Effects(f"{server.url}/2", redis)
        first = min(run.at for run in effects.runs("call"))
        end = first + WINDOW_SECONDS
        # One more second for what began within the minute and is still on its way to Redis.
        wait(lambda: time.time() > end + 1, seconds=WINDOW_SECONDS + START_SECONDS)
        runs = [run for run in effects.runs("call") if run.at <= end]
    print(f"{len(runs)} runs in a minute, {EXPECTED} expected")
    assert len({run.task_id for run in runs}) == len(runs)
    assert {run.retries for run in runs} == {0}
    assert abs(len(runs) - EXPECTED) <= EXPECTED / 100, workers.read_text()[-2000:]
