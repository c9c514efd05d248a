"""Reading, shedding, reconnecting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Thread

import orjson
import pytest

from celery_exporter.events.buffer import Buffer
from celery_exporter.events.decoding import Event, from_body
from celery_exporter.events.pump import BATCH_BYTES, BATCH_MESSAGES, Pump
from tests.runtime.conftest import wait_until


@dataclass
class Script:
    """A broker that does what it is told, one step at each reading."""

    steps: list[Callable[[], Sequence[bytes]]]
    refusals: int = 0
    #: The last connection that is not refused; None where there is none.
    last: int | None = None
    connects: int = 0
    closes: int = 0
    waits: list[float] = field(default_factory=list)

    decode = staticmethod(from_body)

    def connect(self) -> None:
        self.connects += 1
        if self.connects <= self.refusals or self.connects > (self.last or self.connects):
            raise ConnectionRefusedError("nobody listens")

    def read(self, *, wait_seconds: float) -> Sequence[bytes]:
        self.waits.append(wait_seconds)
        return self.steps.pop(0)() if self.steps else []

    def close(self) -> None:
        self.closes += 1
        raise OSError("already closed")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen:
    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []

    def __call__(self, events: Sequence[Event], received_at: float) -> None:
        self.events += [(received_at, event) for event in events]


def message(number: int) -> bytes:
    return orjson.dumps({"type": "task-sent", "uuid": str(number)})


def lost() -> Sequence[bytes]:
    raise ConnectionResetError("gone")


def test_events_come_with_the_time_of_their_arrival_not_of_their_turn() -> None:
    clock, seen = Clock(), Seen()
    script = Script([lambda: [message(number) for number in range(BATCH_MESSAGES + 1)]])
    pump = Pump(script, seen, clock=clock)
    clock.now = 5.0
    pump.turn()
    clock.now = 9.0
    pump.turn()
    assert len(seen.events) == BATCH_MESSAGES + 1
    assert {received_at for received_at, _ in seen.events} == {5.0}


def test_while_something_waits_to_be_counted_the_broker_is_not_waited_for() -> None:
    script = Script([lambda: [message(0)] * (BATCH_MESSAGES + 1)])
    pump = Pump(script, Seen())
    for _ in range(3):
        pump.turn(wait_seconds=1.0)
    assert script.waits == [1.0, 0, 1.0]


def test_a_flood_is_read_on_and_what_finds_no_room_is_counted() -> None:
    flood = [message(number) for number in range(3000)]
    seen = Seen()
    pump = Pump(Script([lambda: flood, lambda: flood]), seen, buffer=Buffer(capacity_messages=1000))
    while not seen.events or pump.buffer:
        pump.turn()
    assert len(seen.events) + pump.buffer.shed == 6000
    assert seen.events[0][1]["uuid"] == "0"
    assert pump.buffer.shed == 2000 + 3000 - BATCH_MESSAGES


def test_a_buffer_is_bounded_in_bytes_too_and_has_room_again() -> None:
    buffer = Buffer(capacity_bytes=100)
    buffer.put([b"x" * 60, b"x" * 60, b"x" * 40], received_at=0)
    assert (len(buffer), buffer.shed) == (2, 1)
    assert len(list(buffer.take(5, most_bytes=60))) == 1
    assert len(list(buffer.take(5, most_bytes=1000))) == 1
    buffer.put([b"x" * 100], received_at=0)
    assert (len(buffer), buffer.shed) == (1, 1)


def test_large_messages_are_read_faster_than_they_are_counted() -> None:
    large = orjson.dumps([{"type": "task-sent", "uuid": "x" * 1000}] * 100)
    pump = Pump(Script([lambda: [large] * 20] * 2), Seen())
    pump.turn()
    pump.turn()
    assert len(pump.buffer) == 2 * (20 - (BATCH_BYTES // len(large) + 1))


def test_what_cannot_be_read_is_counted_and_the_rest_goes_on() -> None:
    seen = Seen()
    pump = Pump(Script([lambda: [b"junk", message(1), b"[]", b"\xff"]]), seen)
    pump.turn()
    assert (pump.unreadable, pump.decoded) == (2, 1)
    assert len(seen.events) == 1


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_lost_connection_and_a_refused_one_are_tried_again(refusals: int) -> None:
    seen = Seen()
    script = Script([lost, lambda: [message(1)]], refusals=refusals)
    pump = Pump(script, seen)
    thread = Thread(target=pump.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: seen.events, "the event after the loss")
        assert pump.connected
        assert script.connects == 2 + refusals
        assert script.closes == 1 + refusals
    finally:
        pump.stop()
        thread.join(timeout=10)
    assert not thread.is_alive()


def test_what_came_before_the_loss_is_counted_while_the_broker_is_away() -> None:
    seen = Seen()
    flood = [message(number) for number in range(3 * BATCH_MESSAGES)]
    pump = Pump(Script([lambda: flood, lost], last=1), seen)
    thread = Thread(target=pump.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: len(seen.events) == len(flood), "all that had come is counted")
        assert not pump.connected
    finally:
        pump.stop()
        thread.join(timeout=10)


def test_shedding_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    flood = [message(number) for number in range(10)]
    pump = Pump(Script([lambda: flood] * 3), Seen(), buffer=Buffer(capacity_messages=1))
    for _ in range(3):
        pump.turn()
    assert pump.buffer.shed == 27
    assert caplog.text.count("is shed and counted") == 1


def test_while_the_broker_is_away_time_passes_and_the_loop_turns() -> None:
    moments: list[float] = []
    pump = Pump(Script([], refusals=1000), lambda _, at: moments.append(at))
    thread = Thread(target=pump.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: len(moments) > 1 and pump.turned_at <= moments[-1], "two turns")
        assert not pump.connected
    finally:
        pump.stop()
        thread.join(timeout=10)
    assert not thread.is_alive()
