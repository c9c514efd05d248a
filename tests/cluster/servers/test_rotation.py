"""The README's procedure for rotating credentials, run as it stands there, while tasks flow."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci.demo import RELEASE
from ci.paths import BIN, ROOT
from tests.cluster.shop import ON_REDIS, Shop, eventually, flowing, more

#: TLS and a user of limited rights, so that the whole release is seen to work with them; all of it
#: on Valkey, which is to need its image and nothing else.
VALKEY = {
    "redis.image": {"repository": "valkey/valkey", "tag": "8"},
    "redis.tls.enabled": True,
    "redis.auth.username": "celery",
}
SEND = """
from celery_runtime.app import app
for _ in range(4):
    print(app.send_task("celery.accumulate", ("paid",), queue="email").id)
"""
COUNT = """
import sys
from celery_runtime.app import app
print(sum(app.AsyncResult(task).ready() for task in sys.argv[1:]))
"""
PING = """
import sys
from redis import Redis
from redis.exceptions import AuthenticationError
host, user, password, authority = sys.argv[1:]
tls = {"ssl": True, "ssl_ca_certs": authority} if authority else {}
try:
    print(Redis(host, username=user, password=password, **tls).ping())
except AuthenticationError:
    print("refused")
"""
SETTLE_SECONDS = 180


@pytest.fixture
def environment(shop: Shop, tmp_path: Path) -> Mapping[str, str]:
    """A shell's, in the namespace of the release under test."""
    return shell(shop, tmp_path)


def test_both_servers_get_new_passwords_and_no_task_is_lost(
    shop: Shop, environment: Mapping[str, str]
) -> None:
    before = {secret: shop.secret(f"{RELEASE}-{secret}") for secret in ("rabbitmq", "redis")}
    functions, rabbitmq, redis, redis_end = procedure(producer="shop-web")
    with flowing(lambda: shop.hold(count=4, seconds=4)) as sent:
        more(sent)
        run_script(functions + rabbitmq + redis, environment)
        more(sent)
        both = {before["redis"]["password"], shop.secret("jobs-redis")["password"]}
        assert [_ping(shop, "jobs-redis", "default", each) for each in both] == ["True", "True"]
        run_script(functions + redis_end, environment)
        more(sent)
    shop.until("succeeded", *sent, within_seconds=SETTLE_SECONDS)
    assert {run["starts"] for run in shop.tasks(*sent).values()} == {"1"}
    after = {secret: shop.secret(f"{RELEASE}-{secret}") for secret in ("rabbitmq", "redis")}
    assert before["rabbitmq"]["username"] != after["rabbitmq"]["username"]
    assert before["redis"]["password"] != after["redis"]["password"]
    assert "previous-password" not in after["redis"]
    assert users(shop) == {after["rabbitmq"]["username"]}
    assert _ping(shop, "jobs-redis", "default", before["redis"]["password"]) == "refused"
    assert _ping(shop, "jobs-redis", "default", after["redis"]["password"]) == "True"


def test_valkey_as_broker_gets_a_new_password_and_no_task_is_lost(
    shop: Shop, environment: Mapping[str, str]
) -> None:
    with shop.on_redis(VALKEY):
        assert "Valkey" in shop.exec(f"{ON_REDIS}-redis-0", "redis-server", "--version")
        before = shop.secret(f"{ON_REDIS}-redis")["password"]
        functions, _, redis, redis_end = procedure(producer=f"{ON_REDIS}-worker-io")
        with flowing(lambda: _python(shop, SEND).split(), every_seconds=3) as sent:
            more(sent)
            run_script((functions + redis).replace("jobs", ON_REDIS), environment)
            more(sent)
            between = shop.secret(f"{ON_REDIS}-redis")["password"]
            assert [_ping_tls(shop, each) for each in (before, between)] == ["True", "True"]
            run_script((functions + redis_end).replace("jobs", ON_REDIS), environment)
            more(sent)
        eventually(
            lambda: int(_python(shop, COUNT, *sent)) == len(sent),
            within_seconds=SETTLE_SECONDS,
            what=f"{len(sent)} results",
        )
        after = shop.secret(f"{ON_REDIS}-redis")
        assert after.keys() == {"password"}
        answers = [_ping_tls(shop, each) for each in (before, after["password"])]
        assert answers == ["refused", "True"]


def shell(shop: Shop, folder: Path) -> Mapping[str, str]:
    """A shell's environment: the tools on its PATH, and a kubeconfig that names the namespace."""
    config = folder / "kubeconfig"
    config.write_text(shop.kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config.chmod(0o600)
    env = {**shop.target.env, "KUBECONFIG": str(config), "PATH": f"{BIN}:{os.environ['PATH']}"}
    context = ("kubectl", "config", "set-context", "--current")
    subprocess.run([*context, f"--namespace={shop.target.namespace}"], env=env, check=True)
    return env


def procedure(*, producer: str) -> tuple[str, str, str, str]:
    """The README's section: functions, RabbitMQ, Redis until both passwords are valid, its end."""
    text = (ROOT / "charts" / "celery" / "README.md").read_text()
    section = text.partition("### Rotating credentials")[2].partition("\n## ")[0]
    section = section.replace("deployment/web", f"deployment/{producer}")
    functions, rabbitmq, redis = (
        block.partition("```")[0] for block in section.split("```sh\n")[1:]
    )
    begin, patch, end = redis.rpartition("kubectl patch")
    return functions, rabbitmq, begin, patch + end


def run_script(script: str, env: Mapping[str, str]) -> None:
    """Run a shell script; fails with what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def users(shop: Shop) -> set[str]:
    """Return the names of RabbitMQ's users."""
    said = shop.exec(f"{RELEASE}-rabbitmq-0", "rabbitmqctl", "list_users", "--quiet")
    return {line.split()[0] for line in said.splitlines()[1:]}


def _ping(shop: Shop, host: str, user: str, password: str) -> str:
    python = ("python", "-c", PING)
    return shop.exec(f"deploy/{RELEASE}-worker-io", *python, host, user, password, "").strip()


def _ping_tls(shop: Shop, password: str) -> str:
    authority = "/etc/celery-runtime/results/ca.crt"
    return _python(shop, PING, f"{ON_REDIS}-redis", "celery", password, authority).strip()


def _python(shop: Shop, code: str, *arguments: str) -> str:
    return shop.exec(f"deploy/{ON_REDIS}-worker-io", "python", "-c", code, *arguments)
