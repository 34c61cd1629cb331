"""The commands of docs/operations.md that back a ledger up, run as they are printed while somebody writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from notifier.ledger import Ledger, open_ledger, pending
from tests.fixtures.ledger import queue

PAGE = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 here (Debian: apt-get install sqlite3)")
def test_a_backup_of_sqlite_holds_all_that_was_committed_and_nothing_else(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    (command,) = re.findall(r"`(sqlite3 [^`]*)`", PAGE)
    source = Path(sqlite_ledger.url_without_password.partition(":///")[2])
    with sqlite_ledger.begin() as conn:
        queue(conn, 3)
    with sqlite_ledger.begin() as conn:
        queue(conn, 1, event={"order_id": "later"})
        done = subprocess.run(
            command.replace(".data/ledger.db", str(source)), shell=True, cwd=tmp_path, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr

    restored = open_ledger(f"sqlite:///{tmp_path}/ledger-backup.db")
    assert pending(restored) == []
    with restored.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM delivery").scalar_one() == 3
    restored.dispose()
