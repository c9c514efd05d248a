"""``run_traffic``: send many tasks at a steady rate, and say how many the broker has accepted.

Each of them is in the ledger at the end, whatever became of the handler that writes it there.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from celery import chord, uuid
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shop import tasks
from shop.ledger import enter
from shop.management.commands.run_pipelines import begin
from shop.traffic import Wish, wishes

#: One that waits for a confirmation, 30 s at the most, does not hold up the others.
SENDERS = 4
#: A sender enters what was accepted of so many tasks, and keeps no more in mind.
BATCH = 250


class Command(BaseCommand):
    """Send the tasks of a seed; one JSON object on stdout at the end."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is to be sent, and how fast."""
        add = parser.add_argument
        add("--run", required=True, help="the run's id, one that there is not yet")
        add("--seed", type=int, required=True, help="the same one sends the same tasks")
        add("--count", type=int, default=5000, help="how many tasks")
        add("--poison", type=int, default=5, help="how many of them kill their process")
        add("--rate", type=float, default=20, help="tasks a second")
        add("--longest", type=float, default=120, help="seconds that no task takes more than")

    def handle(
        self,
        *,
        run: str,
        seed: int,
        count: int,
        poison: int,
        rate: float,
        longest: float,
        **_: object,
    ) -> None:
        """Send; a task that is not confirmed is not accepted, and not sent again."""
        if not 0 <= poison <= count:
            raise CommandError(f"--poison {poison}: give a number up to --count, {count}")
        begin(run, "traffic")
        tasks_to_send = list(wishes(seed, count, poison=poison, longest_seconds=longest))
        began = time.monotonic()

        def send_share(share: Sequence[tuple[int, Wish]]) -> Counter[str]:
            counts = Counter[str]()
            for first in range(0, len(share), BATCH):
                accepted: dict[str, tuple[str, str]] = {}
                for number, wish in share[first : first + BATCH]:
                    time.sleep(max(0.0, began + number / rate - time.monotonic()))
                    # Redis counts the parts of a chord, and is told first.
                    with suppress(OperationalError, RedisConnectionError, RedisTimeoutError):
                        accepted.update(_send(wish, run))
                counts.update(accepted=len(accepted), entered=enter(run, accepted))
            connection.close()  # the ledger's, of this thread
            return counts

        numbered = list(enumerate(tasks_to_send))
        with ThreadPoolExecutor(SENDERS) as senders:
            shares = (numbered[n::SENDERS] for n in range(SENDERS))
            counts = sum(senders.map(send_share, shares), Counter[str]())
        line = {
            "event": "traffic",
            "run": run,
            "accepted": counts["accepted"],
            "refused": sum(1 + len(wish.parts) for wish in tasks_to_send) - counts["accepted"],
            "entered": counts["entered"],
        }
        self.stdout.write(json.dumps(line))


def _send(wish: Wish, run: str) -> Mapping[str, tuple[str, str]]:
    """Send one task, or a chord; return the names and queues of what was accepted, by id.

    Raises OperationalError or one of redis' errors if it is not, which a part of a chord may be.
    """
    if wish.poison:
        sent = tasks.crash.apply_async((), {"run": run}, queue=wish.queue)
        return {sent.id: (tasks.crash.name, wish.queue)}
    last = uuid()
    wanted = {last: wish, **{f"{last}.{n}": part for n, part in enumerate(wish.parts)}}
    body, *parts = (
        tasks.hold.si(each.seconds, run=run, retries=each.retries).set(
            queue=each.queue, task_id=task_id, countdown=each.countdown or None
        )
        for task_id, each in wanted.items()
    )
    (chord(parts, body) if parts else body).apply_async()
    return {task_id: (tasks.hold.name, each.queue) for task_id, each in wanted.items()}
