"""Taking a message out of a Redis queue with no instant in which it is nowhere.

kombu pops a message by one command and records by a second one that this worker holds it: killed
in between, or while the popped message waits in its socket, the worker loses it. Here a worker
waits for a bell instead of the message, and one script moves the message from its queue to what
is held. Producers ring when they have put a message; who takes one rings again while there are
more. A bell that nobody rang (a producer with plain kombu, a message that came back) delays a
message by kombu's polling interval, a second.
"""

from collections.abc import Callable, Sequence
from queue import Empty
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kombu.transport import redis
from kombu.utils.json import dumps, loads

from celery_runtime.transports.foreign import decoded, wrapped

if TYPE_CHECKING:
    from kombu.message import Message
    from redis.client import Pipeline

#: A bell is a sorted set with one member, so that ringing twice is ringing once.
RING = {"": 0}
#: Longer than any worker waits for it; the bell of a queue that is gone goes, too.
BELL_MILLISECONDS = 60_000

#: KEYS: the index and the hash of what is held; for each queue its bell, then its lists in order of
#: priority. ARGV: the tag to hold a message under, the time, the life of a bell, the number of
#: lists of a queue, then the end of an entry for each queue.
#: An entry is kombu's, [message, exchange, routing key], and leads back to its queue. The message
#: is not decoded: what is no JSON must not be lost either.
#: A client that repeats the call, because the answer was lost, is given the same message.
CLAIM = """
local index, hash, tag, now, life = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local lists, queues = tonumber(ARGV[4]), #ARGV - 4
local function bell(queue) return KEYS[3 + (queue - 1) * (lists + 1)] end
local function list(queue, number) return KEYS[3 + (queue - 1) * (lists + 1) + number] end

local function waits(queue)
  for number = 1, lists do
    if redis.call('EXISTS', list(queue, number)) == 1 then return true end
  end
  return false
end

local function ring()
  for queue = 1, queues do
    if waits(queue) then
      redis.call('ZADD', bell(queue), 0, '')
      redis.call('PEXPIRE', bell(queue), life)
    end
  end
end

local held = redis.call('HGET', hash, tag)
if held then return held end
for number = 1, lists do
  for queue = 1, queues do
    local item = redis.call('RPOP', list(queue, number))
    if item then
      local entry = '[' .. item .. ARGV[4 + queue]
      redis.call('HSET', hash, tag, entry)
      redis.call('ZADD', index, now, tag)
      ring()
      return entry
    end
  end
end
return false
"""


class Collected:
    """Takes the commands that kombu would send at once, for a pipeline."""

    def __init__(self, pipe: "Pipeline") -> None:
        self._pipe = pipe

    def add(self, name: str, *arguments: object) -> None:
        """A command of redis-py, by its name."""
        getattr(self._pipe, name)(*arguments)


class Fetching(redis.Channel):
    """A channel that claims messages."""

    #: kombu's: the connection on which a bell is awaited.
    _in_poll: Any

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,
        callback: Callable[["Message"], object],
        *arguments: Any,  # noqa: ANN401 # kombu's own
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Consume; a message that nobody will acknowledge is acknowledged here: all are held."""
        claims = queue not in self._fanout_queues
        taken = acknowledging(callback) if no_ack and claims else callback
        super().basic_consume(queue, no_ack and not claims, taken, *arguments, **options)

    def basic_get(self, queue: str, no_ack: bool = False, **_: object) -> "Message | None":
        """Fetch one message, if there is one."""
        claimed = self._claim([queue])
        if claimed is None:
            return None
        message: Message = self.Message(claimed[1], channel=self)
        self.qos.append(message, message.delivery_tag)
        if no_ack:
            message.ack()
        return message

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:  # noqa: ANN401
        if batch := options.pop("_publish_batch", None):
            self._put_and_ring(queue, message, batch, **options)
            return
        with self.conn_or_acquire() as client, client.pipeline() as pipe:
            self._put_and_ring(queue, message, Collected(pipe), **options)
            pipe.execute()

    def _put_and_ring(
        self,
        queue: str,
        message: dict[str, Any],
        batch: Any,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> None:
        super()._put(queue, message, _publish_batch=batch, **options)
        batch.add("zadd", self._bell(queue), RING)
        batch.add("pexpire", self._bell(queue), BELL_MILLISECONDS)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Wait for a bell, where kombu would wait for a message."""
        if queues := self._queues_in_turn():
            connection = self._in_poll = self.client.connection
            self._brpop_sent_at = monotonic()  # type: ignore[assignment]  # declared as None
            bells = [self.global_keyprefix + self._bell(queue) for queue in queues]
            seconds = self.brpop_timeout if timeout is None else timeout
            connection.send_command("BZPOPMIN", *bells, seconds or 0)

    def _brpop_read(self, **options: object) -> bool:
        """Rung or not: take a message, if there is one."""
        try:
            self._hear(**options)
            # A channel that closes has nobody to give it to.
            queues = () if self._closing else self._queues_in_turn()
            claimed = self._claim(queues) if queues else None
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if claimed is None:
            raise Empty
        queue, payload = claimed
        self._queue_cycle.rotate(queue)
        self.connection._deliver(payload, queue)
        return True

    def _hear(self, **options: object) -> None:
        connection = self.client.connection
        try:
            self.client.parse_response(connection, "BZPOPMIN", **options)
        except self.connection_errors:
            # The next turn of the loop connects again.
            connection.disconnect()
            raise

    def _claim(self, queues: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
        """A message that is held from now on, with its queue."""
        tag = str(uuid4())
        keys = [self.unacked_index_key, self.unacked_key]
        for queue in queues:
            lists = (self._q_for_pri(queue, step) for step in self.priority_steps)
            keys += [self._bell(queue), *lists]
        prefixed = [self.global_keyprefix + key for key in keys]
        steps = len(self.priority_steps)
        ends = [end_of_entry(queue) for queue in queues]
        arguments = [*prefixed, tag, time(), BELL_MILLISECONDS, steps, *ends]
        with self.conn_or_acquire() as client:
            entry = client.eval(CLAIM, len(prefixed), *arguments)
        return self._read(tag, entry) if entry else None

    def _read(self, tag: str, entry: bytes) -> tuple[str, dict[str, Any]]:
        item, queue = parts(entry)
        payload = decoded(item, self) or self._wrap(tag, item, queue)
        # Held under a tag of its own: who puts messages may give two of them the same one.
        payload["properties"]["delivery_tag"] = tag
        return queue, payload

    def _wrap(self, tag: str, item: bytes, queue: str) -> dict[str, Any]:
        """Hold a foreign item as a message; the consumer finds it unreadable and buries it."""
        message = wrapped(item, queue)
        with self.conn_or_acquire() as client:
            client.hset(self.unacked_key, tag, dumps([message, "", queue]))
        return message

    def _queues_in_turn(self) -> list[str]:
        queues: list[str] = self._queue_cycle.consume(len(self.active_queues))
        return queues

    def _bell(self, queue: str) -> str:
        return f"{queue}{self.sep}bell"


def acknowledging(callback: Callable[["Message"], object]) -> Callable[["Message"], object]:
    """A callback whose messages are acknowledged before it has them."""

    def take(message: "Message") -> object:
        message.ack()
        return callback(message)

    return take


def end_of_entry(queue: str) -> str:
    """What follows the message in an entry: no exchange, so that it goes back to this queue."""
    return f',"",{dumps(queue)}]'


def parts(entry: bytes) -> tuple[bytes, str]:
    """The message of an entry and its queue."""
    item, _, queue = entry[1:-1].rpartition(b',"",')
    return item, str(loads(queue))
