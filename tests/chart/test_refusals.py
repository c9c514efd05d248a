"""Values that cannot work: each is refused with the key and the mend."""

import copy
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

EXISTING_BROKER = {
    "broker": {"mode": "existing", "existingSecret": "mq"},
    "rabbitmq": {"enabled": False},
}
EXISTING_RESULTS = {
    "resultBackend": {"mode": "existing", "existingSecret": "cache"},
    "redis": {"enabled": False},
}
SENTINEL = {"master": "shop", "hosts": ["sentinel-0:26379"]}
NO_REDIS = {"redis": {"enabled": False}}
NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
REDIS = NO_RABBITMQ | {"broker": {"kind": "redis"}}
OWN_REDIS = NO_RABBITMQ | {
    "broker": {"kind": "redis", "mode": "existing", "existingSecret": "cache"}
}
SQS = NO_RABBITMQ | {"broker": {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}}
MIXED_PEER = {"ipBlock": {"cidr": "10.1.0.0/24"}, "podSelector": {}}
DECLARED = "Add it under queues, or name one of: default, email, thumbnails"

#: A dotted key of MINIMAL to a value (see `_set`), and a part of the message.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # What to run.
    ({"app": ""}, "app: missing. Name the Celery app to load, e.g. app: shop.celery:app"),
    (
        {"app": "shop celery"},
        'app: "shop celery" is not a module with an app. Write it as module:attribute',
    ),
    ({"image.repository": ""}, "image.repository: missing. Name the image that holds the app"),
    (
        {"image.repository": "shop:1.4.2"},
        'image.repository: "shop:1.4.2" has a tag or digest in it. Put that into image.tag',
    ),
    ({"image.tag": ""}, "image.tag: missing. Set a tag or image.digest"),
    (
        {"image.tag": 20240101},
        "image.tag: 20240101 was read as a number. Quote it, or give it by --set-string.",
    ),
    ({"image.digest": "abc"}, 'image.digest: "abc" is not a digest. Write it as sha256: and 64'),
    ({"image.pullPolicy": "always"}, "at '/image/pullPolicy': value must be one of 'Always'"),
    ({"logLevel": "trace"}, "at '/logLevel': value must be one of 'debug', 'info'"),
    ({"env": {"A": 5}}, "at '/env/A': got number, want string"),
    ({"env": {"CELERY_APP": "x"}}, "env.CELERY_APP: set by the chart. Remove it and use app."),
    ({"env": {"A-B": "x"}}, "env.A-B: not a name for an environment variable. Use letters, digits"),
    (
        {"workerDefaults": {"env": {"CELERY_WORKER_GROUP": "x"}}},
        "workerDefaults.env.CELERY_WORKER_GROUP: set by the chart. Remove it.",
    ),
    # Names.
    (
        {"fullnameOverride": "Shop"},
        'fullnameOverride: "Shop" cannot begin an object\'s name. Use lower-case letters',
    ),
    (
        {"fullnameOverride": "x" * 47},
        "has 47 characters, 46 is the most that the objects' names leave room for. Set a shorter",
    ),
    (
        {"workers.IO": {"queues": ["email"]}},
        'workers.IO: not a name for a Deployment. Use lower-case letters, digits and "-".',
    ),
    (
        {"workers." + "g" * 60: {"queues": ["email"]}},
        "characters of the 63 allowed. Shorten the group's name or set fullnameOverride.",
    ),
    ({"queues.a,b": {}}, "queues.a,b: not a name for a queue. Use up to 63 letters"),
    ({"queues.bulk@email": {}}, "queues.bulk@email: not a name for a queue. Use up to 63 letters"),
    ({"queues." + "q" * 64: {}}, "not a name for a queue. Use up to 63 letters"),
    ({"queues.dlx": {}}, "queues.dlx: reserved for the broker's own exchanges. Choose another"),
    ({"queues.celery_delayed_1": {}}, "queues.celery_delayed_1: reserved for the broker's own"),
    # Queues.
    ({"queues": None}, "at '': missing property 'queues'"),
    (
        {"queues": {}, "workers": {}},
        "queues: empty. Declare every queue that tasks are sent to, e.g. queues: {default: {}}",
    ),
    ({"defaultQueue": "celery"}, f'defaultQueue: "celery" is not declared. {DECLARED}'),
    ({"queues.email": {"deliveryLimit": 0}}, "at '/queues/email/deliveryLimit': minimum: got 0"),
    ({"queues.email": {"limit": 3}}, "at '/queues/email': additional properties 'limit' not"),
    # Worker groups.
    ({"workers": {}}, "workers: empty. Add a group, e.g. workers: {main: {queues: [default]}}"),
    (
        {"workers.io.queues": []},
        "workers.io.queues: empty. Name the queues that the group consumes, of: default, email",
    ),
    ({"workers.new": {}}, "workers.new.queues: empty. Name the queues that the group consumes"),
    ({"workers.io.queues": ["emial"]}, f'workers.io.queues: "emial" is not declared. {DECLARED}'),
    ({"workers.io.queues": ["email", "email"]}, "workers.io.queues: names a queue twice. Remove"),
    ({"workers.io.queues": "email"}, "at '/workers/io/queues': got string, want array"),
    ({"workers.io.queus": ["email"]}, "at '/workers/io': additional properties 'queus' not"),
    (
        {"workers.io.concurrency": 0},
        "workers.io.concurrency: 0 runs no task. Use 1 or more; to stop the group, set replicas",
    ),
    ({"workers.io.concurrency": "4"}, "at '/workers/io/concurrency': got string, want integer"),
    (
        {"workerDefaults": {"concurrency": -1}},
        "workers.cpu.concurrency: -1 runs no task. Use 1 or more",
    ),
    ({"workers.io.replicas": -1}, "at '/workers/io/replicas': minimum: got -1, want 0"),
    (
        {"workers.io.pool": "threads"},
        "at '/workers/io/pool': value must be one of 'gevent', 'prefork'",
    ),
    (
        {"workers.io.maxTaskSeconds": 1},
        "workers.io.maxTaskSeconds: 1 leaves no time to work. Use 2 or more",
    ),
    ({"workerDefaults": {"maxTaskSeconds": None}}, "missing property 'maxTaskSeconds'"),
    (
        {"workers.cpu.terminationGracePeriodSeconds": 30},
        "workers.cpu.terminationGracePeriodSeconds: 30 would kill a task that may run for 600 s "
        "(maxTaskSeconds). Use more than 600, or remove the key for 630.",
    ),
    (
        {"workers.io.maxTasksPerChild": 100},
        "workers.io.maxTasksPerChild: gevent has no child processes to replace. Remove it, or use "
        "pool: prefork.",
    ),
    (
        {"workers.cpu.maxTasksPerChild": 0},
        "at '/workers/cpu/maxTasksPerChild': minimum: got 0, want 1",
    ),
    (
        {"workers.cpu.maxTaskSeconds": 1770},
        "workers.cpu.maxTaskSeconds: 1770 is too long for rabbitmq.consumerTimeoutSeconds (1800): "
        "the broker would deliver the task again while it runs. Set "
        "rabbitmq.consumerTimeoutSeconds to more than 1800.",
    ),
    (
        {"workers.io.env": {"CELERY_APP": "x"}},
        "workers.io.env.CELERY_APP: set by the chart. Remove it and use app.",
    ),
    # Beat.
    (
        {"beat": {"replicas": 2}},
        "beat.replicas: exactly one beat runs; with two, every schedule would fire twice. Remove "
        "the key.",
    ),
    ({"beat": {"store": "file"}}, "at '/beat/store': value must be one of 'redis', 'volume'"),
    (
        {"beat": {"volume": {"size": "1Gi"}}},
        "beat.volume.size: has no effect while beat.store is redis. Remove it, or set beat.store "
        "to volume.",
    ),
    (
        {"beat": {"store": "volume", "volume": {"size": "1"}}},
        "at '/beat/volume/size': '1' does not",
    ),
    (
        {"beat": {"store": "volume"}, "config": {"redbeat_lock_timeout": 60}},
        "config.redbeat_lock_timeout: has no effect while beat.store is volume. Remove it, or set "
        "beat.store to redis.",
    ),
    ({"beat": {"schedule": {"a": {"every": 5}}}}, "beat.schedule.a.task: missing. Name the task"),
    (
        {"beat": {"schedule": {"a": {"task": "t"}}}},
        "beat.schedule.a: needs exactly one of every (seconds) and cron",
    ),
    (
        {"beat": {"schedule": {"a": {"task": "t", "every": 5, "cron": "* * * * *"}}}},
        "beat.schedule.a: needs exactly one of every (seconds) and cron",
    ),
    (
        {"beat": {"schedule": {"a": {"task": "t", "every": 0.5}}}},
        "beat.schedule.a.every: 0.5 is too often. Give the seconds between two runs, 1 or more.",
    ),
    (
        {"beat": {"schedule": {"a": {"task": "t", "cron": "0 3 * *"}}}},
        'beat.schedule.a.cron: "0 3 * *" does not have five fields. Write minute, hour, day',
    ),
    (
        {"beat": {"schedule": {"a": {"task": "t", "every": 5, "queue": "emial"}}}},
        f'beat.schedule.a.queue: "emial" is not declared. {DECLARED}',
    ),
    (
        {"beat": {"enabled": False, "schedule": {"a": {"task": "t", "every": 5}}}},
        "beat.schedule: has entries, but beat.enabled is false and nothing would send them. Set",
    ),
    # Broker.
    (
        {"broker.kind": "kafka"},
        "at '/broker/kind': value must be one of 'rabbitmq', 'redis', 'sqs'",
    ),
    (
        {"rabbitmq": {"enabled": False}},
        "rabbitmq.enabled: false, but broker.mode is embedded. Set rabbitmq.enabled to true, or "
        "broker.mode to existing.",
    ),
    (
        {"broker": {"mode": "existing", "existingSecret": "mq"}},
        "rabbitmq.enabled: true, but broker.mode is existing and would not use it. Set "
        "rabbitmq.enabled to false, or broker.mode to embedded.",
    ),
    (
        {"broker": {"host": "mq"}},
        "broker.host: has no effect while broker.mode is embedded. Remove it, or set the mode",
    ),
    ({"broker": {"port": 5672}}, "broker.port: has no effect while broker.mode is embedded."),
    (
        {"broker": {"password": "x"}},
        "broker.password: has no effect while broker.mode is embedded. Remove it",
    ),
    (
        EXISTING_BROKER | {"broker": {"mode": "existing"}},
        "broker.host: missing. Say where the broker is, or put its whole URL into a Secret",
    ),
    (
        EXISTING_BROKER | {"broker": {"mode": "existing", "host": "mq"}},
        "broker.existingSecret: missing. Name a Secret with the keys username and password.",
    ),
    (
        EXISTING_BROKER | {"broker.host": "amqp://mq:5672"},
        "broker.host: holds a URL. Give the host name alone, or put the URL into a Secret",
    ),
    (
        EXISTING_BROKER | {"broker.host": "mq", "broker.password": "x", "broker.username": "u"},
        "broker.existingSecret: set together with an inline password. Keep one of them.",
    ),
    (
        EXISTING_BROKER | {"broker": {"mode": "existing", "host": "mq", "password": "x"}},
        "broker.username: missing. A password needs its user.",
    ),
    (
        EXISTING_BROKER | {"broker.vhost": "shop"},
        "broker.vhost: has no effect without broker.host, because the Secret's url says it.",
    ),
    # Kinds of broker.
    (
        REDIS | {"broker.vhost": "shop"},
        "broker.vhost: does not belong to broker.kind redis. Remove it, or change the kind.",
    ),
    (
        {"broker.visibilityTimeoutSeconds": 60},
        "broker.visibilityTimeoutSeconds: does not belong to broker.kind rabbitmq. Remove it, or "
        "change the kind.",
    ),
    (
        {"broker.database": 0},
        "broker.database: does not belong to broker.kind rabbitmq. Remove it, or change the kind.",
    ),
    (
        {"rabbitmq.config": {"consumer_timeout": 60000}},
        "rabbitmq.config.consumer_timeout: the longest task could not be checked against it. Set "
        "consumerTimeoutSeconds instead.",
    ),
    *(
        (
            {"rabbitmq.config": {name: "x"}},
            f"rabbitmq.config.{name}: would be readable in a ConfigMap, and clients log in by the "
            "Secret shop-rabbitmq. Remove it.",
        )
        for name in ("default_user", "default_pass")
    ),
    *(
        (
            {"rabbitmq.config": {name: "x"}},
            f"rabbitmq.config.{name}: clients would not know of it, and it could undo TLS. Remove "
            "it; tls.enabled says which port there is.",
        )
        for name in ("listeners.tcp.default", "listeners.ssl.default")
    ),
    (
        {"rabbitmq.config": {"cluster_formation.discovery_retry_limit": 1}},
        "rabbitmq.config.cluster_formation.discovery_retry_limit: nodes could begin a cluster of "
        "their own. Remove it; their peers follow from replicas.",
    ),
    (
        {"broker.queueUrls": {"default": "https://sqs.example/default"}},
        "broker.queueUrls: does not belong to broker.kind rabbitmq. Remove it, or change the kind.",
    ),
    (
        SQS | {"broker.host": "sqs.example"},
        "broker.host: does not belong to broker.kind sqs. Remove it, or change the kind.",
    ),
    (
        SQS | {"broker.tls": True},
        "broker.tls: does not belong to broker.kind sqs. Remove it, or change the kind.",
    ),
    (
        {"broker.kind": "redis"},
        "rabbitmq.enabled: true, but broker.kind is redis and would not use it. Set "
        "rabbitmq.enabled to false, or broker.kind to rabbitmq.",
    ),
    (
        SQS | {"rabbitmq": {"enabled": True}},
        "rabbitmq.enabled: true, but broker.kind is sqs and would not use it. Set "
        "rabbitmq.enabled to false, or broker.kind to rabbitmq.",
    ),
    (
        REDIS | {"resultBackend": {"mode": "existing", "existingSecret": "c"}, **NO_REDIS},
        "redis.enabled: false, but broker.mode is embedded. Set redis.enabled to true, or "
        "broker.mode to existing.",
    ),
    (
        SQS | {"broker.mode": "embedded"},
        "broker.mode: embedded, but only Amazon runs SQS. Set broker.mode to existing.",
    ),
    (
        REDIS | {"broker.sentinel": SENTINEL},
        "broker.sentinel: has no effect while broker.mode is embedded. Remove it, or set the mode "
        "to existing.",
    ),
    (
        REDIS | {"broker.tls": True},
        "broker.tls: has no effect while broker.mode is embedded. Remove it, or set the mode to "
        "existing.",
    ),
    (
        OWN_REDIS | {"broker.sentinel": SENTINEL, "broker.host": "cache"},
        "broker.host: has no effect beside broker.sentinel, which finds the master. Remove it.",
    ),
    (
        OWN_REDIS | {"broker.sentinel": SENTINEL, "broker.port": 6379},
        "broker.port: has no effect beside broker.sentinel, which finds the master. Remove it.",
    ),
    (
        {"resultBackend": {"mode": "embedded", "sentinel": SENTINEL}},
        "resultBackend.sentinel: has no effect while resultBackend.mode is embedded. Remove it",
    ),
    (
        EXISTING_RESULTS | {"resultBackend.sentinel": SENTINEL, "resultBackend.host": "cache"},
        "resultBackend.host: has no effect beside resultBackend.sentinel, which finds the master.",
    ),
    (
        EXISTING_RESULTS | {"resultBackend.sentinel": SENTINEL, "resultBackend.existingSecret": ""},
        "resultBackend.existingSecret: missing. Name a Secret with the key password",
    ),
    (
        OWN_REDIS | {"broker.sentinel": {"master": "shop"}},
        "at '/broker/sentinel': properties 'hosts' required, if 'master' exists",
    ),
    (
        OWN_REDIS | {"broker.sentinel": SENTINEL, "broker.existingSecret": ""},
        "broker.existingSecret: missing. Name a Secret with the key password; for a Redis without "
        "one, leave host empty and name a Secret with the key url.",
    ),
    (
        OWN_REDIS | {"broker.database": 3},
        "broker.database: has no effect without broker.host, because the Secret's url says it. "
        "Remove it, or set the host.",
    ),
    (
        SQS | {"broker.region": ""},
        "broker.region: missing. Name the region of the queues, e.g. eu-central-1",
    ),
    (
        SQS | {"broker.endpoint": "sqs.example"},
        'broker.endpoint: "sqs.example" is not a URL. Begin it with http:// or https://, or leave '
        "it empty for Amazon's own.",
    ),
    (
        SQS | {"broker.password": "x"},
        "broker.password: an access key belongs into a Secret. Put its id and secret under "
        "username and password and name that in broker.existingSecret, or let "
        "serviceAccount.annotations give the pods an identity.",
    ),
    (
        SQS | {"broker.visibilityTimeoutSeconds": 43_201},
        "broker.visibilityTimeoutSeconds: 43201 is longer than SQS can hide a message. Use 43200 "
        "or less, or remove it for maxTaskSeconds + 60.",
    ),
    (
        SQS | {"workers.cpu.maxTaskSeconds": 43_141},
        "workers.cpu.maxTaskSeconds: 43141 is longer than SQS can hide a message, with a margin. "
        "Use 43140 or less, or another broker.kind.",
    ),
    (
        SQS
        | {"queues": {"default": {}, "a.fifo": {}}, "workers": {"a": {"queues": ["a.fifo"]}}}
        | {"broker.queueUrls": dict.fromkeys(("default", "a.fifo"), "https://sqs.example/x")},
        "broker.queueUrls.a-dead.fifo: missing. Where one queue has a URL, every queue and its "
        "dead-letter queue need one.",
    ),
    (
        SQS | {"queues": {"default": {}, "a.b": {}}},
        'queues.a.b: not a name for a queue. Use up to 63 letters, digits, "_" and "-"; a dot in '
        ".fifo at the end only.",
    ),
    (
        {"queues": {"default": {}, "a.fifo": {}}},
        'queues.a.fifo: not a name for a queue. Use up to 63 letters, digits, "_" and "-"; a dot '
        "would let a delayed task match two queues.",
    ),
    (
        {"queues": {"default": {}, "email-dead": {}}},
        "queues.email-dead: reserved for dead letters. Choose another name.",
    ),
    (
        {"env": {"CELERY_BROKER_URL": "amqp://mq"}},
        "env.CELERY_BROKER_URL: Celery would connect there, whatever broker says. Remove it and "
        "use broker.",
    ),
    (
        {"workerDefaults": {"env": {"CELERY_RESULT_BACKEND": "redis://cache"}}},
        "workerDefaults.env.CELERY_RESULT_BACKEND: Celery would connect there, whatever "
        "resultBackend says. Remove it and use resultBackend.",
    ),
    # Results.
    (
        {"redis": {"enabled": False}},
        "redis.enabled: false, but resultBackend.mode is embedded. Set redis.enabled to true",
    ),
    (
        {"resultBackend": {"mode": "existing", "existingSecret": "cache"}},
        "redis.enabled: true, but resultBackend.mode is existing and would not use it.",
    ),
    (
        {"resultBackend": {"database": 1}},
        "resultBackend.database: has no effect while resultBackend.mode is embedded.",
    ),
    (
        EXISTING_RESULTS | {"resultBackend": {"mode": "existing"}},
        "resultBackend.host: missing. Say where Redis is, or put its whole URL into a Secret",
    ),
    (
        EXISTING_RESULTS | {"resultBackend": {"mode": "existing", "host": "cache"}},
        "resultBackend.existingSecret: missing. Name a Secret with the key password",
    ),
    (
        EXISTING_RESULTS | {"resultBackend.host": "cache", "resultBackend.password": "x"},
        "resultBackend.existingSecret: set together with an inline password. Keep one of them.",
    ),
    (
        EXISTING_RESULTS | {"resultBackend.database": 0},
        "resultBackend.database: has no effect without resultBackend.host",
    ),
    # Any Celery setting.
    (
        {"config": {"broker_url": "amqp://u:p@mq"}},
        "config.broker_url: would be readable in a ConfigMap, and the runtime assembles it from "
        "Secrets. Use broker.",
    ),
    (
        {"config": {"result_backend": "redis://:p@cache"}},
        "config.result_backend: would be readable in a ConfigMap",
    ),
    ({"config": {"beat_schedule": {}}}, "config.beat_schedule: is made from another key. Use beat"),
    (
        {"config": {"task_time_limit": 5}},
        "config.task_time_limit: has no effect beside the group's own limit. Use maxTaskSeconds.",
    ),
    (
        {"config": {"CELERY_TASK_ACKS_LATE": True}},
        "config.CELERY_TASK_ACKS_LATE: not a setting's name. Celery's settings are lower case",
    ),
    (
        {"config": {"task_routes": {"shop.send": {"queue": "emial"}}}},
        f'config.task_routes.shop.send: "emial" is not declared. {DECLARED}',
    ),
    (
        {"config": {"task_routes": {"shop.send": "emial"}}},
        f'config.task_routes.shop.send: "emial" is not declared. {DECLARED}',
    ),
    (
        SQS | {"config": {"worker_enable_remote_control": True}},
        "config.worker_enable_remote_control: SQS has no remote control. Remove it, or use another "
        "broker.kind.",
    ),
    # The subcharts.
    ({"rabbitmq": {"nodes": 3}}, "rabbitmq:\n- at '': additional properties 'nodes' not"),
    ({"redis": {"sentinel": True}}, "redis:\n- at '': additional properties 'sentinel' not"),
    (
        {"rabbitmq": {"resources": {"limits": {"memory": None}}}},
        "rabbitmq.resources.limits.memory: missing or not a quantity. Set one, e.g. 1Gi",
    ),
    (
        {"rabbitmq": {"resources": {"limits": {"memory": "128Mi"}}}},
        "rabbitmq.resources.limits.memory: 128Mi is too little for RabbitMQ to start reliably.",
    ),
    (
        {"rabbitmq": {"storage": {"size": "8 GB"}}},
        'rabbitmq.storage.size: "8 GB" is not a size. Write it as a quantity, e.g. 8Gi.',
    ),
    (
        {"rabbitmq": {"image": {"digest": "sha256:abc"}}},
        "rabbitmq:\n- at '/image/digest': 'sha256:abc' does not match pattern '^(sha256",
    ),
    (
        {"redis": {"image": {"digest": "8.0"}}},
        "redis:\n- at '/image/digest': '8.0' does not match pattern '^(sha256:",
    ),
    (
        {"global": {"imagePullSecrets": ["mirror"]}},
        "at '/global/imagePullSecrets/0': got string, want object",
    ),
    ({"rabbitmq": {"image": {"tag": ""}}}, "rabbitmq.image.tag: missing. Set a tag"),
    (
        {"rabbitmq": {"fullnameOverride": "1mq"}},
        'rabbitmq.fullnameOverride: "1mq" cannot name a Service. Use lower-case letters',
    ),
    (
        {"redis": {"resources": {"limits": {"memory": "lots"}}}},
        "redis.resources.limits.memory: missing or not a quantity. Set one, e.g. 512Mi",
    ),
    # The network.
    (
        {"networkPolicy": {"clients": [{}]}},
        "at '/networkPolicy/clients/0': minProperties: got 0, want 1",
    ),
    (
        {"networkPolicy": {"clients": {"podSelector": {}}}},
        "at '/networkPolicy/clients': got object, want array",
    ),
    (
        {"networkPolicy": {"clients": None}},
        "at '/networkPolicy': missing property 'clients'",
    ),
    (
        {"networkPolicy": {"viewers": [{"namespace": "monitoring"}]}},
        "at '/networkPolicy/viewers/0': additional properties 'namespace' not allowed",
    ),
    (
        {"networkPolicy": {"viewers": [{"ipBlock": {"cidr": "10.1.0.5"}}]}},
        "at '/networkPolicy/viewers/0/ipBlock/cidr': '10.1.0.5' does not match pattern",
    ),
    (
        {"networkPolicy": {"appEgress": [{"from": [{"podSelector": {}}]}]}},
        "at '/networkPolicy/appEgress/0': additional properties 'from' not allowed",
    ),
    (
        {"networkPolicy": {"appEgress": [{"ports": [{"protocol": "http"}]}]}},
        "at '/networkPolicy/appEgress/0/ports/0/protocol': value must be one of 'TCP', 'UDP'",
    ),
    (
        {"networkPolicy": {"clients": [MIXED_PEER]}},
        "networkPolicy.clients[0]: has ipBlock beside a selector, which Kubernetes refuses. Make "
        "two entries of it.",
    ),
    (
        {"networkPolicy": {"appEgress": [{}, {"to": [{"podSelector": {}}, MIXED_PEER]}]}},
        "networkPolicy.appEgress[1].to[1]: has ipBlock beside a selector",
    ),
    (
        {"networkPolicy": {"existingServers": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]}},
        "networkPolicy.existingServers: has no effect while broker and results are embedded. "
        "Remove it, or set broker.mode or resultBackend.mode to existing.",
    ),
    # Anything unknown.
    ({"worker": {}}, "at '': additional properties 'worker' not allowed"),
    ({"beat": {"shedule": {}}}, "at '/beat': additional properties 'shedule' not allowed"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:60] for _, m in REFUSED])
def test_it_is_refused_with_the_key_and_the_mend(
    helm: "Helm", minimal: "Values", change: dict[str, Any], message: str
) -> None:
    assert message in _refusal(helm, _set(minimal, copy.deepcopy(change)))


def test_everything_that_is_wrong_is_said_at_once(helm: "Helm", minimal: "Values") -> None:
    change = {"app": "", "queues": {}, "beat": {"replicas": 2}, "redis": {"storage": {"size": ""}}}
    refusal = _refusal(helm, _set(minimal, change))
    lines = [line for line in refusal.splitlines() if line.startswith("  - ")]
    keys = [line.removeprefix("  - ").partition(": ")[0] for line in lines]
    assert keys == [
        "app",
        "queues",
        *("workers.cpu.queues", "workers.io.queues", "workers.io.queues"),
        "beat.replicas",
        "redis.storage.size",
    ]


def test_the_release_name_counts_as_the_full_name(helm: "Helm", minimal: "Values") -> None:
    refusal = _refusal(helm, minimal, release="r" * 50)
    assert 'fullnameOverride: "' + "r" * 50 + '" has 50 characters' in refusal
    assert "rabbitmq.fullnameOverride: " in refusal


@pytest.mark.parametrize("chart", ["rabbitmq", "redis"])
def test_a_subchart_alone_says_it_too(helm: "Helm", chart: str) -> None:
    refusal = _refusal(helm, {"storage": {"size": "big"}, "image": {"tag": ""}}, chart=chart)
    assert '  - storage.size: "big" is not a size.' in refusal
    assert "  - image.tag: missing. Set a tag or image.digest." in refusal


def test_a_broker_of_the_users_decides_its_own_consumer_timeout(
    helm: "Helm", minimal: "Values"
) -> None:
    minimal |= EXISTING_BROKER
    minimal["workers"]["cpu"]["maxTaskSeconds"] = 7200
    assert helm.template(minimal).workloads["jobs-worker-cpu"].args["time-limit"] == "7200"


def _refusal(helm: "Helm", values: "Values", **where: str) -> str:
    with pytest.raises(Exception, match="Error: ") as refused:
        helm.template(values, **where)
    assert type(refused.value).__name__ == "HelmRefused"
    return str(refused.value)


def _set(values: "Values", change: dict[str, Any]) -> "Values":
    """Set each key; a dot goes one level down, at most twice, so that names may hold dots."""
    for path, value in change.items():
        target = values
        *parents, last = path.split(".", 2)
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return values
