"""How long the oldest message waits."""

from celery_exporter.broker.ages import Ages
from celery_exporter.readings import Depth, Reading


def reading(*heads: str) -> Reading:
    return Reading(depths={"email": Depth(ready=len(heads), heads=heads)})


def test_the_age_is_from_the_sending_where_it_was_seen() -> None:
    assert Ages().of(reading("a"), sent_at={"a": 40.0}.get, now=100) == {"email": 60}


def test_the_age_is_at_least_the_time_at_the_head_where_it_was_not_seen() -> None:
    ages, unseen = Ages(), dict[str, float]().get
    assert ages.of(reading("a"), sent_at=unseen, now=100) == {"email": 0}
    assert ages.of(reading("a"), sent_at=unseen, now=130) == {"email": 30}
    assert ages.of(reading("b"), sent_at=unseen, now=140) == {"email": 0}


def test_the_oldest_of_all_priorities_counts() -> None:
    sent = {"urgent": 90.0, "plain": 10.0}
    assert Ages().of(reading("urgent", "plain"), sent_at=sent.get, now=100) == {"email": 90}


def test_of_a_queue_whose_head_is_not_known_there_is_no_age() -> None:
    assert Ages().of(reading(), sent_at=dict[str, float]().get, now=1) == {}


def test_what_is_at_no_head_any_more_is_forgotten() -> None:
    ages, unseen = Ages(), dict[str, float]().get
    for number in range(100):
        ages.of(reading(str(number)), sent_at=unseen, now=number)
    assert len(ages._since) == 1
