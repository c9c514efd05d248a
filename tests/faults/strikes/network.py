"""Packets that are lost, late, or go nowhere."""

import time
from pathlib import Path

from ci.demo import RELEASE
from tests.faults.strikes.field import BROKER, CHAIN, LASTING_SECONDS, WORKERS, Field

#: More than a heartbeat's time, so that nodes and clients give each other up.
PARTITION_SECONDS = 45
#: Of a hundred packets, on each machine that they cross.
LOSS = 0.2
PORT = 5672
#: Where the detour listens, in the shop's pod.
DETOUR_PORT = 15673
DETOUR = Path(__file__).with_name("detour.py")


def cut_off_broker_node(field: Field) -> None:
    """Let a node of the broker hear nothing of anybody for a while."""
    address = field.address(field.broker())
    ends = ("--source", "--destination")
    with field.rules([f"-A {CHAIN} {end} {address} -j DROP" for end in ends]):
        time.sleep(PARTITION_SECONDS)


def part_broker_nodes(field: Field) -> None:
    """Let a node of the broker hear nothing of the other two, and clients hear all of them."""
    alone = field.address(field.broker())
    others = [each for each in field.shop.addresses(BROKER) if each != alone]
    ways = [way for other in others for way in ((alone, other), (other, alone))]
    drop = [f"-A {CHAIN} --source {here} --destination {there} -j DROP" for here, there in ways]
    with field.rules(drop):
        time.sleep(PARTITION_SECONDS)


def lose_packets(field: Field) -> None:
    """Lose a part of what workers say and hear."""
    some = f"-p tcp -m statistic --mode random --probability {LOSS} -j DROP"
    ends = [
        f"{end} {pod}"
        for pod in field.shop.addresses(WORKERS)
        for end in ("--source", "--destination")
    ]
    with field.rules([f"-A {CHAIN} {end} {some}" for end in ends]):
        time.sleep(LASTING_SECONDS)


def slow_network(field: Field) -> None:
    """Lead the workers to the broker by a slow way, which breaks at its end."""
    (shop,) = field.shop.pods("app.kubernetes.io/name=shop,app.kubernetes.io/component=web")
    target = f"-j DNAT --to-destination {field.address(shop)}:{DETOUR_PORT}"
    workers = field.shop.addresses(WORKERS)
    lines = [f"-A {CHAIN} --source {each} -p tcp --dport {PORT} {target}" for each in workers]
    with field.rules(lines, hook="PREROUTING", table="nat"):
        # Whoever is connected already would stay on the short way. Each node closes its own: what
        # is global about it is that it does so in every vhost.
        for node in field.brokers():
            field.rabbitmqctl(node, "close_all_connections", "--global", "led another way")
        words = (DETOUR.read_text(), f"{RELEASE}-rabbitmq", DETOUR_PORT, LASTING_SECONDS)
        field.shop.exec(shop, "python", "-c", *(str(word) for word in words))
