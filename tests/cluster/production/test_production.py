"""values/production.yaml at its full shape: three nodes, TLS, policies, alerts, scaling."""

from pathlib import Path

from ci.paths import ROOT
from tests.certificates import Authority
from tests.cluster.servers.test_rotation import procedure, run_script, shell, users
from tests.cluster.shop import Shop, eventually, flowing, more

CONNECTS = """
import socket, sys
for port in map(int, sys.argv[2:]):
    try:
        socket.create_connection((sys.argv[1], port), timeout=5).close()
        print(port, "open")
    except ConnectionRefusedError:
        print(port, "closed")
"""
TASKS = 40
#: What Flower says of a task to whom has a login, or the status to whom has none.
SHOWN = """
import base64, json, sys, urllib.request
from urllib.error import HTTPError
address, login = sys.argv[1:]
headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
try:
    answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10)
    print(json.load(answer)["state"])
except HTTPError as error:
    print(error.code)
"""


def test_servers_answer_by_tls_alone(production: Shop) -> None:
    ports = ("5671", "15671", "5672", "15672")
    python = ("python", "-c", CONNECTS, "jobs-rabbitmq-nodes")
    said = production.exec("deploy/shop-web", *python, *ports)
    assert said.split("\n")[:4] == ["5671 open", "15671 open", "5672 closed", "15672 closed"]
    assert not production.does("jobs-redis-0", "redis-cli", "-h", "jobs-redis", "ping")


def test_a_lost_connection_takes_no_other_with_it(production: Shop) -> None:
    pair = Authority().signed("localhost")
    script = (ROOT / "tests" / "runtime" / "two_connections.py").read_text()
    texts = (pair.certificate.decode(), pair.key.decode())
    said = production.exec("deploy/jobs-worker-io", "python", "-c", script, *texts).split()
    assert said == ["BrokenPipeError", "SSLWantReadError"]


def test_flower_shows_a_task_to_whom_has_the_login_alone(production: Shop) -> None:
    (task,) = production.hold(seconds=0)
    login = "{username}:{password}".format_map(production.secret("jobs-flower"))

    def shown(login: str) -> str:
        address = f"http://jobs-flower:5555/api/task/info/{task}"
        return production.exec("deploy/shop-web", "python", "-c", SHOWN, address, login).strip()

    eventually(lambda: shown(login) == "SUCCESS", within_seconds=30, what="Flower shows the task")
    assert shown("") == shown("flower:guess") == "401"


def test_what_watches_is_there(production: Shop) -> None:
    for kind in ("servicemonitor", "podmonitor", "prometheusrule", "networkpolicy"):
        assert production.get(kind)["items"], kind
    conditions = production.get("scaledobject", "jobs-worker-io")["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["Ready"] == "True"


def test_the_pipelines_are_done_once_each(production: Shop) -> None:
    report = production.run("--orders=2", "--users=2", "--emails=2", "--photos=2")
    assert report["undone"] == []
    assert sum(row["duplicates"] for row in report["rows"]) == 0


def test_an_upgrade_with_the_same_values_restarts_nothing(production: Shop) -> None:
    selector = "app.kubernetes.io/instance=jobs,app.kubernetes.io/component!=worker"
    before = production.pods(selector)
    production.upgrade()
    assert production.pods(selector) == before


def test_a_broker_node_that_is_lost_costs_no_task(production: Shop) -> None:
    tasks = production.hold(count=TASKS, seconds=2)
    workers = "app.kubernetes.io/component=worker"
    before = production.restarts(workers)
    production.kubectl("delete", "pod", "jobs-rabbitmq-1", "--grace-period=0", "--force")
    production.until("succeeded", *tasks, within_seconds=180)
    eventually(
        lambda: production.get("statefulset", "jobs-rabbitmq")["status"].get("readyReplicas") == 3,
        within_seconds=180,
        what="three nodes again",
    )
    after = production.restarts(workers)
    assert all(after.get(name, times) == times for name, times in before.items())


def test_a_new_user_in_a_secret_of_ones_own_is_gone_over_to_and_no_task_is_lost(
    production: Shop, tmp_path: Path
) -> None:
    """By the README's commands: the Secret that they patch is the user's own here."""
    before = production.secret("jobs-rabbitmq")
    functions, rabbitmq, _, _ = procedure(producer="shop-web")
    with flowing(lambda: production.hold(count=4, seconds=4)) as sent:
        more(sent)
        run_script(functions + rabbitmq, shell(production, tmp_path))
        more(sent)
    production.until("succeeded", *sent, within_seconds=180)
    assert {run["starts"] for run in production.tasks(*sent).values()} == {"1"}
    after = production.secret("jobs-rabbitmq")
    assert after["username"] != before["username"]
    assert after["erlang-cookie"] == before["erlang-cookie"]
    assert users(production) == {after["username"]}
