"""How full the queues are, asked of each kind of broker."""

from celery import Celery

from celery_exporter.broker.management import Management
from celery_exporter.broker.rabbitmq import RabbitMQ
from celery_exporter.broker.redis import Redis
from celery_exporter.broker.sqs import Sqs
from celery_exporter.readings import Broker

REDIS, RABBITMQ, SQS = "redis", "amqp", "sqs"
#: On SQS each question is paid for.
INTERVAL_SECONDS = {REDIS: 5, RABBITMQ: 5, SQS: 15}
#: Of queues that a group is scaled for: a first message is to wake it soon.
SCALING_SECONDS = {REDIS: 1, RABBITMQ: 1, SQS: 15}


def kind_of(app: Celery) -> str:
    """Which kind of broker an app has."""
    with app.connection_for_read() as connection:
        return str(connection.transport.driver_type)


def broker_of(app: Celery, kind: str, *, management_url: str = "") -> Broker:
    """What to ask about an app's queues."""
    if kind == RABBITMQ:
        return RabbitMQ(app, _management(app, management_url) if management_url else None)
    return Redis(app) if kind == REDIS else Sqs(app)


def _management(app: Celery, url: str) -> Management:
    return Management(url, ca_file=(app.conf.broker_use_ssl or {}).get("ca_certs"))
