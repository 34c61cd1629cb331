"""What an operator reads when Redis refuses."""

from __future__ import annotations

import pytest
from redis import exceptions as redis

from notifier.road import RoadUnavailable, road

CASES = [
    ("out of memory", redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
    (
        "OOM inside a script of 6.2",
        redis.ResponseError("Error running script: -OOM ... used memory > 'maxmemory'"),
        "OOM",
    ),
    ("disk full", redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "Free disk space"),
    ("replica", redis.ReadOnlyError("You can't write against a read only replica."), "the primary"),
    ("no password", redis.AuthenticationError("NOAUTH Authentication required."), "wants a password"),
    ("wrong password", redis.AuthenticationError("WRONGPASS invalid username-password pair"), "does not accept"),
    (
        "no AOF",
        redis.ResponseError("WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        "appendonly",
    ),
    ("loading", redis.BusyLoadingError("Redis is loading the dataset in memory"), "Try again"),
    ("old server", redis.ResponseError("unknown command 'XAUTOCLAIM'"), "6.2"),
    ("refused", redis.ConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused."), "Is it running"),
    ("silent", redis.TimeoutError("Timeout reading from socket"), "in time"),
    ("closed", redis.ConnectionError("Connection closed by server."), "restarting"),
    ("anything else", redis.ResponseError("WRONGTYPE Operation against a key"), "ResponseError"),
]


@pytest.mark.parametrize(("label", "error", "advice"), CASES, ids=[case[0] for case in CASES])
def test_an_error_of_redis_becomes_advice(label: str, error: redis.RedisError, advice: str) -> None:
    with pytest.raises(RoadUnavailable, match=advice) as raised, road("feeding"):
        raise error
    assert str(raised.value).startswith("feeding: ")
    assert raised.value.__cause__ is error


def test_the_words_of_the_server_are_not_repeated() -> None:
    with pytest.raises(RoadUnavailable) as raised, road("feeding"):
        raise redis.ResponseError("Command # 1 (XADD s * phone +971500000001) of pipeline caused error: WRONGTYPE")
    assert "971500000001" not in str(raised.value)


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), road("feeding"):
        raise ZeroDivisionError
