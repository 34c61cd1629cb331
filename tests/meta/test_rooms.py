"""The rooms depend downwards only, and what must stay pure, light or in one place does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import notifier

ROOT = Path(__file__).parents[2]

# A room may import those of the rows above its own. A room that is in no row is a fault: decide where it belongs.
FLOORS = (
    {"events", "ids", "process", "signals", "spans"},
    {"channels", "road", "sentinel", "telemetry"},
    {
        "catalog",
        "clock",
        "embedded",
        "handles",
        "inbox",
        "limits",
        "policy",
        "sources",
        "wake",
    },
    {"lane_hold", "mappings", "relations", "transport", "variables"},
    {"door", "ledger", "plan", "settings", "streams", "webhook_stream"},
    {"hearing", "keys", "lookups", "shop_sources", "shops"},
    {"runtime"},
    {"effects", "follow", "telling"},
    {"carry", "demands", "intake", "notices", "replay"},
    {"bypass", "permits", "receipts", "record", "webhooks"},
    {"asking", "booking", "reconcile", "waiting", "webhook_bypass"},
    {"drain", "loops", "sweeps"},
    {"gateway", "sandbox"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
PURE = ("policy", "channels", "sources", "catalog")

# What reads a clock, the disk, the network, the environment or chance, or writes a log.
IMPURE = {
    "asyncio",
    "http",
    "io",
    "logging",
    "os",
    "psycopg",
    "pycurl",
    "random",
    "redis",
    "requests",
    "secrets",
    "socket",
    "sqlite3",
    "structlog",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
    "uuid",
}
ASKS_THE_CLOCK = {"now", "utcnow", "today"}  # of datetime; those of the module `time` need its import
READS = {"read_text", "read_bytes"}

# The catalog is read from files: once, where it is loaded.
READS_FILES = {"notifier.catalog.load"}

# Who plays a backend, starts a Celery process or knocks at the broker; all of it is imported when its command runs.
CELERY_OUTSIDE_WORKERS = {"notifier.cli.beat", "notifier.cli.demo", "notifier.cli.network", "notifier.demo.doors"}


def modules(package: str) -> dict[str, ast.Module]:
    """Every module of a package, parsed."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in sorted((ROOT / package).rglob("*.py"))
    }


NOTIFIER = modules("notifier")
OURS = NOTIFIER | modules("workers")


def imports(tree: ast.AST) -> Iterator[str]:
    """What is imported anywhere in it, inside functions too, but for what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def room(module: str) -> str:
    """notifier.ledger.plans is in the room `ledger`, notifier.plan is a room of its own."""
    return module.split(".")[1]


def floor(name: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if name in rooms), -1)  # -1: nobody decided yet


def test_every_room_has_its_floor_and_every_floor_its_rooms() -> None:
    assert {room(name) for name in NOTIFIER if "." in name} == set().union(*FLOORS)


def test_rooms_import_downwards_only() -> None:
    upwards = [
        f"{module} imports {imported}"
        for module, tree in NOTIFIER.items()
        if "." in module and floor(room(module)) >= 0
        for imported in imports(tree)
        if imported in NOTIFIER and "." in imported and room(imported) != room(module)
        if floor(room(imported)) >= floor(room(module))
    ]
    assert upwards == []


def test_workers_know_no_doors_and_nobody_but_the_command_line_knows_workers() -> None:
    doors = ("notifier.cli", "notifier.demo", "notifier.gateway", "notifier.sandbox")
    workers = {name: tree for name, tree in OURS.items() if name.startswith("workers")}
    assert [name for name, tree in workers.items() for one in imports(tree) if one.startswith(doors)] == []
    assert {room(name) for name, tree in NOTIFIER.items() for one in imports(tree) if one.startswith("workers")} == {
        "cli"
    }


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_touches_nothing_outside_itself(name: str) -> None:
    found = [
        f"{module} imports {imported}"
        for module, tree in NOTIFIER.items()
        if module.startswith(f"notifier.{name}")
        for imported in imports(tree)
        if imported in IMPURE
        or imported.split(".")[0] in IMPURE
        or (imported == "pathlib" and module not in READS_FILES and not module.startswith("notifier.catalog"))
        or imported.startswith(("notifier.settings", "notifier.telemetry", "notifier.runtime", "notifier.ledger"))
    ]
    assert found == []


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_opens_no_file_and_asks_no_clock(name: str) -> None:
    calls = [
        f"{module}: {ast.unparse(node.func)}"
        for module, tree in NOTIFIER.items()
        if module.startswith(f"notifier.{name}") and module not in READS_FILES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        if (isinstance(node.func, ast.Attribute) and node.func.attr in ASKS_THE_CLOCK | READS)
        or (isinstance(node.func, ast.Name) and node.func.id in ("open", "print"))
    ]
    assert calls == []


def test_sql_lives_in_the_ledger_alone() -> None:
    knowing = {name for name, tree in OURS.items() for one in imports(tree) if one.split(".")[0] == "sqlalchemy"}
    assert {room(name) for name in knowing} == {"ledger"}


def test_celery_lives_in_workers_and_is_otherwise_loaded_by_the_command_that_needs_it() -> None:
    of_celery = ("celery", "kombu", "billiard")
    knowing = {name for name, tree in NOTIFIER.items() for one in imports(tree) if one.split(".")[0] in of_celery}
    assert knowing == CELERY_OUTSIDE_WORKERS


HEAVY = (
    "celery",
    "kombu",
    "fastapi",
    "starlette",
    "sqlalchemy",
    "phonenumbers",
    "babel",
    "pycurl",
    "pydantic_settings",
)


@pytest.mark.parametrize("module", ["notifier", "notifier.cli"])
def test_importing_what_backends_import_loads_nothing_heavy(module: str) -> None:
    """A backend pays for this import in every one of its processes."""
    script = f"import sys, {module}; print(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_a_process_that_logs_does_without_rich_and_one_that_prints_has_it() -> None:
    script = """
import sys
from notifier import telemetry
telemetry.configure(json=False)
before = sorted(name for name in sys.modules if name.partition(".")[0] == "rich")
import rich
from notifier.cli import printing
print(before, rich.__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[] rich"


def test_the_public_names_are_these() -> None:
    """More is easily added; what is here stays for as long as the major version."""
    assert notifier.__all__ == [
        "InboxFull",
        "InvalidEvent",
        "NotifierError",
        "OrderEvent",
        "RoadUnavailable",
        "Ticket",
        "notify",
        "notify_many",
    ]
    assert all(getattr(notifier, name).__doc__ for name in notifier.__all__)
