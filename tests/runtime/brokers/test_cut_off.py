"""A message whose task ends after the connection that it came by."""

import pytest
from celery import Celery
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime import configure
from tests.runtime.conftest import Mounted


@pytest.fixture
def app(reachable: Mounted, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An app on Redis."""
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(reachable.path))
    app = Celery(set_as_current=False)
    configure(app)
    return app


def test_its_acknowledgement_is_an_error_of_the_connection_and_it_comes_back(app: Celery) -> None:
    sent = app.send_task("shop.send_email")
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        message = channel.basic_get("default")
        connection.close()
        channel._disconnect_pools()
        with pytest.raises(RedisConnectionError, match="that the message came by is closed"):
            message.ack()
        assert RedisConnectionError in connection.connection_errors
    with app.connection_for_read() as connection:
        again = connection.default_channel.basic_get("default", no_ack=True)
        assert again.headers["id"] == sent.id


def test_a_broken_connection_can_be_closed_twice(app: Celery) -> None:
    app.send_task("shop.send_email")
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        message = channel.basic_get("default")
        # As when kombu's first attempt has failed half way.
        channel.connection.client = None
        channel.close()
        assert message.delivery_tag in channel.qos._delivered
