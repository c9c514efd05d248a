"""RabbitMQ's second user, made by the README's commands, takes over from the first."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import OpenShop, furnish, new_queues
from tests.runtime.conftest import CHART_POOLS, Mounted, wait_until

README = Path(__file__).parents[3] / "charts" / "celery" / "README.md"
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Container]:
    """A RabbitMQ of this test: its first user goes."""
    (tmp_path / "rabbitmq").mkdir()
    started = servers.rabbitmq(tmp_path / "rabbitmq")
    yield started
    started.remove()


@both_pools
def test_both_users_work_until_the_first_is_deleted_and_then_one_does(
    server: servers.Container, mounted: Mounted, redis_url: str, open_shop: OpenShop, pool: str
) -> None:
    mounted.secret("results/url", f"{redis_url}/0")
    furnish(mounted, server, *new_queues())
    shop = open_shop(mounted, server)
    old = shop.worker(pool)
    sent = [shop.send("send_email", f"{n}", 0.2) for n in range(5)]
    username, password = _second_user(server)
    mounted.secret("broker/username", username)
    mounted.secret("broker/password", password)
    new = shop.worker(pool)
    sent += [shop.send("send_email", f"{n}", 0.2) for n in range(5, 10)]
    assert old.stop() == 0
    wait_until(lambda: all(result.ready() for result in sent), "all are done", seconds=60)
    server.execute("rabbitmqctl", "delete_user", server.secrets["broker/username"])
    assert open_shop(mounted, server).send("send_email", "last").get(timeout=60) == "last"
    assert new.stop() == 0
    with pytest.raises(Exception, match="ACCESS_REFUSED"):
        servers.connect(servers.amqp_url(int(server.settings["port"])))


def _second_user(server: servers.Container) -> tuple[str, str]:
    """Run the README's commands, up to the one that changes the Secret."""
    section = README.read_text(encoding="utf-8").partition("**RabbitMQ** gets a second user")[2]
    commands = section.partition("```sh\n")[2].partition("kubectl patch")[0]
    _, _, commands = commands.partition("\n")  # The old user's name comes from Kubernetes.
    exec_ = f"{os.environ['CONTAINER_ENGINE']} exec --interactive {server.name}"
    script = f"""
rabbitmqctl() {{ {exec_} rabbitmqctl "$@" >&2; }}
{commands}
echo "$new $password"
"""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    username, password = done.stdout.split()
    return username, password
