"""What a run under fire sends."""

import json
from collections import Counter
from io import StringIO

import pytest
from celery import signals
from django.core.management import call_command

from shop import ledger, tasks
from shop.models import Hold, TaskRun
from shop.traffic import POISONED, SHARES, Wish, wishes
from tests.demo.conftest import closed

COUNT, POISON, LONGEST_SECONDS = 2000, 7, 60.0


def traffic(seed: int) -> list[Wish]:
    return list(wishes(seed, COUNT, poison=POISON, longest_seconds=LONGEST_SECONDS))


def test_a_seed_makes_the_same_tasks_and_another_seed_others() -> None:
    assert traffic(1) == traffic(1)
    assert traffic(1) != traffic(2)


def test_every_queue_gets_its_share_and_poison_the_one_where_it_kills_nobody_else() -> None:
    made = traffic(3)
    by_queue = Counter(wish.queue for wish in made if not wish.poison)
    for queue, share in SHARES.items():
        assert abs(100 * by_queue[queue] / COUNT - share) < 3
    assert [wish.queue for wish in made if wish.poison] == [POISONED] * POISON


def test_tasks_take_from_milliseconds_to_the_longest() -> None:
    made = traffic(4)
    seconds = sorted(wish.seconds for wish in made if not wish.poison)
    assert 0.009 < seconds[0] < 0.02
    assert seconds[len(seconds) // 2] < 0.3
    assert 10 < seconds[-1] <= LONGEST_SECONDS
    assert max(wish.seconds for wish in made if wish.queue == POISONED) <= 5


def test_a_few_are_due_later_and_a_few_give_up_at_first() -> None:
    made = traffic(5)
    later = [wish.countdown for wish in made if wish.countdown]
    assert 0.01 < len(later) / COUNT < 0.03
    assert 1 <= min(later) < 5 < 15 < max(later) <= 20
    retries = Counter(wish.retries for wish in made)
    assert retries.keys() == {0, 1, 2}
    assert 0.01 < 1 - retries[0] / COUNT < 0.03
    assert not any(wish.countdown or wish.retries for wish in made if wish.poison)


def test_a_few_are_what_a_chord_leads_to_whose_parts_are_done_in_both_pools() -> None:
    chords = [wish for wish in traffic(5) if wish.parts]
    assert 0.005 < len(chords) / COUNT < 0.02
    assert {len(wish.parts) for wish in chords} == {3}
    assert {part.queue for wish in chords for part in wish.parts} == set(SHARES)
    assert not any(part.countdown or part.parts for wish in chords for part in wish.parts)


@pytest.mark.usefixtures("_database", "_worker")
def test_all_that_is_accepted_is_in_the_ledger_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.management.commands.run_traffic.BATCH", 3)
    # As a database would that was away for longer than the handler waits.
    signals.after_task_publish.disconnect(ledger.accepted)
    told = StringIO()
    try:
        call_command(
            "run_traffic", run="r", seed=6, count=40, poison=0, rate=1000, longest=0.1, stdout=told
        )
    finally:
        signals.after_task_publish.connect(ledger.accepted)
    line = json.loads(told.getvalue())
    assert (line["accepted"], line["refused"], line["entered"]) == (40, 0, 40)
    rows = TaskRun.objects.filter(run="r")
    assert rows.exclude(sent_at=None).exclude(queue="").count() == 40


@pytest.mark.usefixtures("_database", "_worker")
def test_what_a_chord_leads_to_is_done_when_all_its_parts_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shop.traffic.CHORDS", 100)
    told = StringIO()
    options = {"seed": 7, "count": 3, "poison": 0, "rate": 1000, "longest": 0.1}
    call_command("run_traffic", run="chords", stdout=told, **options)
    assert json.loads(told.getvalue())["accepted"] == 12
    rows = [closed(row.task_id) for row in TaskRun.objects.filter(run="chords")]
    assert [row.state for row in rows] == ["succeeded"] * 12
    for body in (row for row in rows if "." not in row.task_id):
        parts = Hold.objects.filter(task_id__startswith=f"{body.task_id}.")
        done = Hold.objects.get(task_id=body.task_id).created_at
        assert len(parts) == 3
        assert max(part.created_at for part in parts) < done


@pytest.mark.usefixtures("_database", "_worker")
def test_a_task_that_is_to_give_up_twice_is_done_by_its_third_attempt() -> None:
    row = closed(tasks.hold.apply_async((0,), {"run": "r", "retries": 2}, queue="email").id)
    assert (row.state, row.retries, row.starts) == ("succeeded", 2, 3)
    assert Hold.objects.get(task_id=row.task_id).duplicates == 0
