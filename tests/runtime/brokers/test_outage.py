"""What a worker does while its broker is away."""

from tests.runtime.brokers.servers import Container
from tests.runtime.conftest import Mounted, Start


def test_a_worker_waits_for_a_broker_that_restarts_and_consumes_again(
    rabbitmq: Container, mounted: Mounted, redis_url: str, worker: Start
) -> None:
    mounted.secret("results/url", f"{redis_url}/0")
    service = worker("prefork")
    service.wait_for("ready", 200)
    rabbitmq.stop()
    assert service.wait_for("ready", 503) == "waiting for the broker"
    assert service.probe("live")[0] == 200
    rabbitmq.start()
    service.wait_for("ready", 200)
    assert service.stop() == 0
