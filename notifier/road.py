"""What every part of the road shares: its error, the loading of its Lua scripts, and the wait for the disk.

The road is Redis (or Valkey). Nothing here decides anything about order events or limits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from types import TracebackType
from typing import Any

import hiredis
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError, ResponseError

from notifier.events import NotifierError

# appendfsync everysec writes once a second, and may skip a beat while an fsync is under way.
DISK_TIMEOUT = timedelta(seconds=5)


class RoadUnavailable(NotifierError):
    """Redis is away, out of memory, or cannot do what was asked. The message says what, and how to mend it."""


# What a server's answer means for the operator. First match wins; the left side is a lower-case part of the answer.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        "maxmemory",
        "Redis is out of memory (OOM, maxmemory reached). Nothing was written. Raise maxmemory, or let intake catch up",
    ),
    ("misconf", "Redis cannot write to its disk and refuses writes (MISCONF). Free disk space and look into its log"),
    ("read only replica", "This Redis is a read-only replica. Point the URL at the primary"),
    ("noauth", "Redis wants a password. Put user and password into the URL"),
    ("wrongpass", "Redis does not accept this user and password. Mend them in the URL"),
    ("appendonly is disabled", "Waiting for the disk needs an append-only file. Set `appendonly yes`, or durable off"),
    ("loading", "Redis is loading its data set after a start. Try again in a moment"),
    ("unknown command", "This server is too old. Use Redis 6.2 or later, or Valkey"),
    ("connecting to", "Redis does not answer. Is it running, and is the URL right?"),
    ("timeout", "Redis did not answer in time. It may be overloaded, or the network away"),
    ("connection closed", "Redis closed the connection. It may be restarting"),
)


class road:  # noqa: N801 - read as a statement, `with road(…)`; as a generator it cost an append 5 us more
    """Turns an error of redis-py into RoadUnavailable with advice; `doing` says what failed ("reading the inbox").

    The server's own words are left to the cause: redis-py repeats the command in them, and that may be personal data.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, RedisError):
            raise RoadUnavailable(f"{self._doing}: {_advice(error)}") from error


def _advice(error: RedisError) -> str:
    said = str(error).lower()
    return next((advice for part, advice in _ADVICE if part in said), f"Redis failed ({type(error).__name__})")


def load_script(redis: Redis, room: str, name: str) -> Script:
    """The Lua script `name` of a room ("notifier", "notifier.limits"), ready to be called: one EVALSHA a call."""
    return redis.register_script((files(room) / name).read_text(encoding="utf-8"))


def call(script: Script, keys: Sequence[str], args: Sequence[Any], client: Redis | None = None) -> Any:
    """The answer of a script. As `call_many`."""
    return call_many(script, ((keys, args),), client)[0]


def call_many(
    script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]], client: Redis | None = None
) -> list[Any]:
    """The answers of a script to (keys, args), in one round trip, on the connection that `client` holds or on one of
    the pool.

    Without what redis-py does around a command for retries, which our connections do not have (door.open_road), and
    for its own metrics: an append takes 143 us instead of 182. And its pipelines take a connection of their own, so
    that WAITAOF, which waits for the writes of its connection only, waited for nothing.
    Raises redis-py's errors, when all answers are there: other calls may have done their work. Stands inside `road`.
    """
    redis = client or script.registered_client
    answers = _ask(redis, [("EVALSHA", script.sha, len(keys), *keys, *args) for keys, args in calls])
    unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:  # the server was restarted or emptied since
        again = [("EVAL", script.script, len(calls[place][0]), *calls[place][0], *calls[place][1]) for place in unknown]
        for place, answer in zip(unknown, _ask(redis, again), strict=True):
            answers[place] = answer
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers


def call_many_to_disk(script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
    """As `call_many`, and what the script wrote is on disk; as `wait_for_disk`."""
    redis: Any = script.registered_client
    with redis.client() as client:  # WAITAOF waits for the writes of its own connection only
        answers = call_many(script, calls, client)
        wait_for_disk(client)
        return answers


def command(redis: Redis, *words: str | int) -> Any:
    """The server's answer to one command, as it is: nothing is converted. In the way of `call_many`, errors too."""
    answer = _ask(redis, [words])[0]
    if isinstance(answer, RedisError):
        raise answer
    return answer


def _ask(redis: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Sends commands over the connection that this client holds, or one of its pool, and reads what the server answers.

    Its refusals are answers here. Any other error closes the connection.
    """
    held = redis.connection
    connection = held or redis.connection_pool.get_connection()
    try:
        # Not by the connection's own packing: it looks at the type of each word first, 6 us an append.
        connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
        return [_answer(connection) for _ in commands]
    except BaseException:
        # An answer that comes late would be taken for that of the next command. A connection to a primary that
        # Sentinel found leaves this to its caller.
        connection.disconnect()
        raise
    finally:
        if held is None:
            redis.connection_pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def fresh(client: Redis) -> bool:
    """Whether the connection that this client holds may be used: made in this process, with Sentinel to the primary of
    now, and not closed by the server."""
    connection = client.connection
    if connection is None or connection.pid != os.getpid() or not client.connection_pool.owns_connection(connection):
        return False
    try:
        return not connection.can_read()
    except (RedisError, OSError):
        return False


def wait_for_disk(client: Redis) -> None:
    """Returns when everything written on the connection that this client holds is in the append-only file, on disk.

    Does nothing where the server does not know WAITAOF (Redis before 7.2). Raises RoadUnavailable after DISK_TIMEOUT.
    """
    try:
        answer: Any = client.waitaof(1, 0, DISK_TIMEOUT // timedelta(milliseconds=1))
    except ResponseError as error:
        if "unknown command" in str(error).lower():
            return
        raise
    if answer[0] < 1:
        raise RoadUnavailable(
            f"waiting for the disk: no fsync within {DISK_TIMEOUT.total_seconds():g} s; the entries are in memory, and "
            "may be appended again without harm. Look at the disk of the Redis server"
        )
