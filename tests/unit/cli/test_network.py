"""What is public, what listens, and what kind of disk it is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from notifier.cli.network import filesystem_of, is_private, problem_reaching


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("https://10.1.2.3", True),
        ("https://169.254.1.1", True),
        ("http://localhost:8080", True),
        ("http://gateway:8080", True),
        ("https://notify.internal", True),
        ("https://8.8.8.8", False),
        ("https://notify.example.com/x", False),
        ("https://graph.facebook.com", False),
    ],
)
def test_addresses_that_nobody_outside_can_reach_are_private(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_who_listens_is_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert problem_reaching(f"http://127.0.0.1:{server.getsockname()[1]}/v1") is None


def test_who_does_not_listen_refuses() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert problem_reaching(f"http://127.0.0.1:{held.getsockname()[1]}") == "connection refused"


def test_a_name_that_nobody_has_is_not_known() -> None:
    assert problem_reaching("https://nobody.invalid") == "its name is not known"


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /srv nfs4 rw 0 0
/dev/sdb1 /srv/local\\040disk xfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/data/ledger.db", "nfs4"),
        ("/srvother", "ext4"),
        ("/srv/local disk/ledger.db", "xfs"),
    ],
)
def test_the_deepest_mount_holds_a_path(path: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind


def test_without_a_list_of_mounts_nothing_is_known() -> None:
    assert filesystem_of(Path("/srv"), "") == ""
