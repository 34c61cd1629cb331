"""Logs of children are kept bounded."""

from __future__ import annotations

from pathlib import Path

from notifier.cli.logs import keep_bounded


def test_a_log_that_has_grown_is_set_aside_and_its_writer_goes_on_in_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("ab") as child:
        child.write(b"old\n" * 5)
        child.flush()
        assert keep_bounded(log, largest=19)
        child.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "worker.log.1").read_bytes() == b"old\n" * 5


def test_what_was_set_aside_before_goes(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    for text in (b"first", b"second"):
        log.write_bytes(text)
        keep_bounded(log, largest=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker.log", "worker.log.1"]
    assert (tmp_path / "worker.log.1").read_bytes() == b"second"


def test_a_log_of_the_largest_size_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    assert not keep_bounded(log)
    log.write_bytes(b"four")
    assert not keep_bounded(log, largest=4)
    assert log.read_bytes() == b"four"
