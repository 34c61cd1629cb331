"""The supervisor, with real processes."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.cli.logs import keep_bounded
from notifier.cli.stack import AlreadyRunning, only_one
from notifier.cli.supervisor import ChildFailed, Spec, Supervisor, catching_signals

WITHIN = timedelta(seconds=20)
PATIENT = "import signal, sys, time; {first}; print('works', flush=True); time.sleep(600)"
POLITE = PATIENT.format(first="signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True)))")
STUBBORN = PATIENT.format(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")


def _spec(name: str, code: str, *, stage: int = 0, ready: str = "works", grace: float = 20) -> Spec:
    return Spec(name, (sys.executable, "-c", code), ready, stage, timedelta(seconds=grace))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, restart=True, say=said.append)
    yield made
    made.stop()


def _started(supervisor: Supervisor, *specs: Spec) -> dict[str, int]:
    supervisor.start(specs)
    supervisor.wait_ready(WITHIN, lambda: False)
    return supervisor.pids()


def _until(holds: Callable[[], object]) -> None:
    """Polls: a child's life is somebody else's clock. The suite's own timeout ends it."""
    while not holds():
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """Runs, and is not a dead one whose new parent (the container's first process) never asks for it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_ready_means_that_the_child_said_so(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = _started(supervisor, _spec("a", POLITE), _spec("b", POLITE))
    assert set(pids) == {"a", "b"}
    assert (tmp_path / "a.log").read_text() == "works\n"


def test_a_child_that_ends_while_starting_is_told_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    supervisor.start([_spec("a", "print('no configuration'); raise SystemExit(3)")])
    with pytest.raises(ChildFailed, match="a ended while starting:\nno configuration"):
        supervisor.wait_ready(WITHIN, lambda: False)


def test_a_child_that_is_late_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_spec("a", POLITE, ready="never said")])
    with pytest.raises(ChildFailed, match=r"not ready after 0 s: a \(.*a.log\)"):
        supervisor.wait_ready(timedelta(0), lambda: False)


def test_waiting_ends_when_we_are_to_stop(supervisor: Supervisor) -> None:
    supervisor.start([_spec("a", POLITE, ready="never said")])
    supervisor.wait_ready(WITHIN, lambda: True)
    assert set(supervisor.pids()) == {"a"}


def test_a_crashed_child_is_started_again_after_a_pause(supervisor: Supervisor, said: list[str]) -> None:
    first = _started(supervisor, _spec("a", POLITE))["a"]
    os.kill(first, signal.SIGKILL)
    _until(supervisor.look)
    assert said[0].startswith("a ended with -9; again in 1 s")
    _until(lambda: supervisor.look() == [])
    assert supervisor.pids()["a"] != first


def test_a_log_that_has_grown_too_large_is_set_aside_while_its_child_writes_on(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_bounded, "__defaults__", (1_000,))
    talks = "import time; print('works', flush=True)\nwhile True: print('.' * 99, flush=True); time.sleep(0.01)"
    _started(supervisor, _spec("a", talks))
    _until(lambda: supervisor.look() == [] and (tmp_path / "a.log.1").exists())
    before = (tmp_path / "a.log").stat().st_size
    _until(lambda: (tmp_path / "a.log").stat().st_size > before)
    assert (tmp_path / "a.log.1").stat().st_size > 1_000


def test_without_restart_a_crashed_child_is_reported_and_stays_down(tmp_path: Path, said: list[str]) -> None:
    supervisor = Supervisor(tmp_path, restart=False, say=said.append)
    os.kill(_started(supervisor, _spec("a", POLITE))["a"], signal.SIGKILL)
    _until(supervisor.look)
    assert (supervisor.look(), supervisor.pids(), said) == (["a"], {}, [])
    supervisor.stop()


def test_a_stop_is_warm_and_goes_from_the_highest_stage_down(supervisor: Supervisor, tmp_path: Path) -> None:
    shared = tmp_path / "order"
    code = POLITE.replace("print('bye', flush=True)", f"open({str(shared)!r}, 'a').write({{!r}})")
    pids = _started(supervisor, *(_spec(name, code.format(name), stage=stage) for stage, name in enumerate("abc")))
    supervisor.stop()
    assert shared.read_text() == "cba"
    assert not any(map(_alive, pids.values()))


def test_a_child_that_does_not_end_is_killed_with_its_own_children(supervisor: Supervisor, said: list[str]) -> None:
    grandchild = f"import subprocess; g = subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(600)'])"
    code = STUBBORN.replace("print('works'", f"{grandchild}; print(g.pid, 'works'")
    _started(supervisor, _spec("a", code, grace=0))
    log = supervisor.log_of("a").read_text()
    supervisor.stop()
    _until(lambda: not _alive(int(log.split()[0])))
    assert said == ["a did not end within 0 s and was killed"]


def test_stopping_twice_is_harmless(supervisor: Supervisor) -> None:
    _started(supervisor, _spec("a", POLITE))
    supervisor.stop()
    supervisor.stop()
    assert supervisor.pids() == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_raises_the_flag_and_the_old_handler_comes_back(number: signal.Signals, code: int) -> None:
    before = signal.signal(number, signal.default_int_handler)  # under nohup it would be ignored
    try:
        with catching_signals() as stopping:
            assert (stopping(), stopping.exit_code) == (False, 0)
            signal.raise_signal(number)
            assert (stopping(), stopping.exit_code) == (True, code)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with catching_signals() as stopping:
            signal.raise_signal(signal.SIGHUP)
            assert not stopping()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_data_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with only_one(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_data_directory_has_one_user_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(AlreadyRunning, match="notifier already runs in"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass
