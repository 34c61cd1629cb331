"""What every part of the road shares: its error, the loading of its Lua scripts, and the wait for the disk.

The road is Redis (or Valkey). Nothing here decides anything about order events or limits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError, ResponseError

from notifier.events import NotifierError


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


@contextmanager
def road(doing: str) -> Iterator[None]:
    """Turns an error of redis-py into RoadUnavailable with advice; `doing` says what failed ("reading the inbox").

    The server's own words are left to the cause: redis-py repeats the command in them, and that may be personal data.
    """
    try:
        yield
    except RedisError as error:
        raise RoadUnavailable(f"{doing}: {_advice(error)}") from error


def _advice(error: RedisError) -> str:
    said = str(error).lower()
    return next((advice for part, advice in _ADVICE if part in said), f"Redis failed ({type(error).__name__})")


def load_script(redis: Redis, room: str, name: str) -> Script:
    """The Lua script `name` of a room ("notifier", "notifier.limits"), ready to be called: one EVALSHA a call."""
    return redis.register_script((files(room) / name).read_text(encoding="utf-8"))


def call(script: Script, keys: Sequence[str], args: Sequence[Any], client: Redis | None = None) -> Any:
    """The answer of a script: one EVALSHA on a connection of the pool, or on the one that `client` holds.

    Without what redis-py does around a command for retries, which our connections do not have (door.open_road), and
    for its own metrics: an append takes 143 us instead of 182.
    Raises redis-py's errors; stands inside `road`.
    """
    redis: Any = client or script.registered_client
    held = redis.connection
    connection = held or redis.connection_pool.get_connection()
    try:
        connection.send_command("EVALSHA", script.sha, len(keys), *keys, *args)
        try:
            return connection.read_response()
        except NoScriptError:  # the server was restarted or emptied since
            connection.send_command("EVAL", script.script, len(keys), *keys, *args)
            return connection.read_response()
    finally:
        if held is None:
            redis.connection_pool.release(connection)


def fresh(client: Redis) -> bool:
    """Whether the connection that this client holds may be used: made in this process, and not closed by the server."""
    connection = client.connection
    try:
        return connection is not None and connection.pid == os.getpid() and not connection.can_read()
    except (RedisError, OSError):
        return False


def wait_for_disk(connection: Redis, timeout: timedelta) -> None:
    """Returns when everything written on this very connection is in the append-only file, on disk.

    Does nothing where the server does not know WAITAOF (Redis before 7.2). Raises RoadUnavailable after `timeout`.
    """
    try:
        answer: Any = connection.waitaof(1, 0, int(timeout.total_seconds() * 1000))
    except ResponseError as error:
        if "unknown command" in str(error).lower():
            return
        raise
    if answer[0] < 1:
        raise RoadUnavailable(
            f"waiting for the disk: no fsync within {timeout.total_seconds():g} s; the entries are in memory, and may "
            "be appended again without harm. Look at the disk of the Redis server"
        )
