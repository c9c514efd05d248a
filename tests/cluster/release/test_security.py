"""What strangers are refused, what pods may do, and where secrets are not."""

import json
import os
from itertools import chain

import pytest

from ci import engine
from ci.demo import RELEASE
from tests.cluster.leaks import leaks, spellings
from tests.cluster.shop import Shop

#: From a pod that the network lets through, with the login that every RabbitMQ once had.
LOGIN = """
import sys
from kombu import Connection
try:
    Connection(f"amqp://{sys.argv[1]}@jobs-rabbitmq:5672//", connect_timeout=5).connect()
    print("in")
except Exception as error:
    print(error)
"""
COMMAND = """
import sys
from redis import Redis
from redis.exceptions import RedisError
try:
    print(Redis("jobs-redis", username=sys.argv[1], password=sys.argv[2] or None).get("any"))
except RedisError as error:
    print(error)
"""
READ = """
import base64, sys, urllib.request
from urllib.error import HTTPError
url, login = sys.argv[1:]
credentials = "Basic " + base64.b64encode(login.encode()).decode()
asked = urllib.request.Request(url, headers={"Authorization": credentials} if login else {})
try:
    print(urllib.request.urlopen(asked, timeout=5).status)
except HTTPError as error:
    print(error.code)
"""
#: Programs that run as somebody else, and what package managers leave behind.
CACHES = ("*.deb", "*/.cache/*", "*/apt/lists/*_*", "*/apt/*pkgcache.bin")
FIND = ["/", "-xdev", "(", "-type", "f", "-perm", "/6000", "-print", ")"]
FIND += [word for path in CACHES for word in ("-o", "-path", path, "-print")]
#: What Kubernetes grants to everybody: asking about oneself, and what the server can do.
EVERYBODYS = ("selfsubject", "/", "clustertrustbundles")


@pytest.mark.parametrize("login", ["guest:guest", "celery:guess"])
def test_rabbitmq_refuses_whom_it_does_not_know(shop: Shop, login: str) -> None:
    assert "ACCESS_REFUSED" in _python(shop, LOGIN, login)


@pytest.mark.parametrize(("user", "password"), [("default", ""), ("default", "guess")])
def test_redis_refuses_whom_it_does_not_know(shop: Shop, user: str, password: str) -> None:
    said = _python(shop, COMMAND, user, password)
    assert "Authentication required" in said or "invalid username-password" in said


def test_the_management_interface_refuses_without_a_login(shop: Shop) -> None:
    login = shop.secret(f"{RELEASE}-rabbitmq")
    known = f"{login['username']}:{login['password']}"
    url = f"http://{RELEASE}-rabbitmq:15672/api/whoami"
    answers = {who: _python(shop, READ, url, who).strip() for who in ("", "guest:guest", known)}
    assert answers == {"": "401", "guest:guest": "401", known: "200"}


def test_no_secret_is_in_a_log_or_in_an_object_that_is_no_secret(shop: Shop) -> None:
    held = {f"{RELEASE}-rabbitmq/password", f"{RELEASE}-rabbitmq/erlang-cookie"}
    held |= {f"{RELEASE}-redis/password", "shop-database/DATABASE_URL"}
    assert held <= spellings(shop.get("secrets")["items"]).keys()
    assert leaks(shop) == []


def test_every_service_account_may_do_what_is_listed_and_no_more(shop: Shop) -> None:
    accounts = [each["metadata"]["name"] for each in shop.get("serviceaccounts")["items"]]
    rights = {account: _rights(shop, account) for account in accounts}
    exporters = {("pods", verb) for verb in ("get", "list", "watch", "patch")}
    assert rights == {account: set() for account in accounts} | {f"{RELEASE}-exporter": exporters}


@pytest.mark.parametrize("image", ["DEMO_IMAGE", "EXPORTER_IMAGE"])
def test_images_carry_no_setuid_program_and_no_package_cache(image: str) -> None:
    # As root: nobody else sees what a package manager has left in root's home.
    alone = ("run", "--rm", "--network=none", "--user=0", "--entrypoint=find")
    assert engine.choose().capture(*alone, os.environ[image], *FIND).split() == []


def _rights(shop: Shop, account: str) -> set[tuple[str, str]]:
    """What a service account may do in the namespace, beyond what everybody may."""
    namespace = shop.target.namespace
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    account = f"--as=system:serviceaccount:{namespace}:{account}"
    # Validating would ask for what these accounts may not see.
    told = shop.put(review, "create", account, "--validate=false", "--output=json")
    status = json.loads(told)["status"]
    assert not status["incomplete"]
    return {
        (resource, verb)
        for rule in chain(status["resourceRules"], status["nonResourceRules"])
        for resource in rule.get("resources") or rule["nonResourceURLs"]
        for verb in rule["verbs"]
        if not resource.startswith(EVERYBODYS)
    }


def _python(shop: Shop, script: str, *arguments: str) -> str:
    return shop.exec("deploy/shop-web", "python", "-c", script, *arguments)
