"""Workers that answer as the runtime's do, by the hundred: `synthetic.py PORT WORKERS`.

Each has an address of its own on loopback, and does one task a second.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

from celery_runtime.health.tally import Tally

QUEUES_PER_GROUP = 5
WORKERS_PER_GROUP = 10
SLOTS = 4


def name_of(number: int) -> str:
    """The pod of a worker."""
    return f"jobs-worker-{group_of(number)}-{number}"


def address_of(number: int) -> str:
    """Where it answers."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def group_of(number: int) -> str:
    """Its worker group."""
    return f"group-{number // WORKERS_PER_GROUP}"


def queues_of(group: str) -> list[str]:
    """What the pods of a group consume."""
    return [f"{group}-queue-{number}" for number in range(QUEUES_PER_GROUP)]


@dataclass
class Synthetic:
    """One worker."""

    number: int
    tally: Tally = field(default_factory=Tally)
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def page(self, after: int) -> bytes:
        """What it says when it is asked."""
        queues = queues_of(group_of(self.number))
        while self.done < time.monotonic() - self.began:
            self._work(queues[self.done % len(queues)])
        return json.dumps(
            {
                "worker": f"{group_of(self.number)}@{name_of(self.number)}",
                "slots": SLOTS,
                "draining": False,
                "queues": queues,
                "running": [["shop.tasks.work", queues[0], 0.5]],
                **self.tally.as_dict(after=after),
            }
        ).encode()

    def _work(self, queue: str) -> None:
        self.done += 1
        self.tally.fetched(queue)
        life = self.tally.begin("shop.tasks.work", queue)
        self.tally.received(life)
        self.tally.started(life, wait_seconds=0.1)
        self.tally.ended(life, "succeeded", ran_seconds=1)
        self.tally.succeeded(life, runtime_seconds=1)


async def main(port: int, workers: int) -> None:
    """Answer for all of them."""
    all_of_them = {address_of(number): Synthetic(number) for number in range(workers)}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        worker = all_of_them[writer.get_extra_info("sockname")[0]]
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + worker.page(int(asked.rpartition("=")[2])))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, None, port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
