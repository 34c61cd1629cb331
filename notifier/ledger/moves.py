"""The one mechanism behind every step: an UPDATE whose guard comes from STEPS, and the history of what it overwrote.

PostgreSQL does it in one statement: lock the rows in the order of their ids (two batches that lock in different orders
would deadlock), update what is still in a legal state, write history from what the lock saw. SQLite has one writer, so
history first and then the same UPDATE, in the same transaction, come to the same.
"""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.instants import to_us
from notifier.ledger.schema import in_list
from notifier.ledger.statements import Rows, Statement
from notifier.ledger.states import STEPS

TRIED = "attempts = d.attempts + CASE WHEN d.state = 'claimed' THEN 1 ELSE 0 END"
"""A try is counted when its claim is left, whoever says first how it went: our own answer, its loss, or a receipt."""

HISTORY = "at, notification_id, delivery_id, step, from_state, to_state, reason, code, detail, by_whom"


@dataclass(frozen=True, slots=True)
class Moved:
    """Who moved and who lost: a lost row was no longer in a state that the step may leave, or does not exist."""

    moved: frozenset[str]
    lost: frozenset[str]


class Move:
    """One step, or several of the same shape, as statements.

    names: rows of STEPS about one table; with several, the batch says in its column `step` which one each row takes.
    rows: the batch's columns, `delivery_id` or `notification_id` among them.
    sets: further assignments (d is the row before, r the batch's row). guard: a further condition on both.
    late: the states whose leaving goes into history; by default all of them, or none, as STEPS says.
    """

    def __init__(
        self, *names: str, rows: Rows, sets: str, guard: str = "", late: Collection[str] | None = None
    ) -> None:
        table = STEPS[names[0]].of
        key = f"{table}_id"
        step, target, legal = _taken(names)
        condition = f"d.id = r.{key} AND ({legal})" + (f" AND {guard}" if guard else "")
        told = late if late is not None else {state for name in names if STEPS[name].told for state in _sources(name)}
        notification = "d.notification_id" if table == "delivery" else "d.id"
        subject = f"r.{key}" if table == "delivery" else "NULL"
        words = ", ".join(f"r.{word}" if word in rows.columns else "NULL" for word in ("reason", "code", "detail"))
        update = f"UPDATE {table} AS d SET state = {target}, {sets}"
        line = f"SELECT :now, {{about}}, {subject}, {step}, {{was}}, {target}, {words}, :by"
        self._writes = bool(told)
        self._postgresql = Statement(
            f"""
            WITH r AS MATERIALIZED ({{rows}}), old AS MATERIALIZED (
                SELECT r.*, d.state AS was, {notification} AS about
                FROM r JOIN {table} d ON {condition} ORDER BY d.id FOR UPDATE OF d
            ), told AS (
                INSERT INTO history ({HISTORY}) {line.format(about="r.about", was="r.was")}
                FROM old AS r WHERE r.was IN ({in_list(told) or "NULL"})
            ) {update} FROM old AS r WHERE {condition} RETURNING d.id, r.was""",
            rows,
        )
        self._note = Statement(
            f"""
            INSERT INTO history ({HISTORY}) {line.format(about=notification, was="d.state")}
            FROM ({{rows}}) AS r JOIN {table} d ON {condition} AND lower(d.state) IN ({in_list(told) or "NULL"})
            WHERE true RETURNING {key}, from_state""",
            rows,
        )
        self._update = Statement(f"{update} FROM ({{rows}}) AS r WHERE {condition} RETURNING id", rows)

    def run(
        self, conn: Connection, rows: Sequence[object], now: datetime, by: str, **params: str | None
    ) -> dict[str, str]:
        """Moves what may move: the ids that moved, each with the state it left ('' for a step without history)."""
        if not rows:
            return {}
        values: dict[str, int | str | None] = {"now": to_us(now), "by": by, **params}
        if conn.dialect.name == "postgresql":
            return _pairs(self._postgresql.run(conn, rows, **values))
        left: dict[str, str] = {}
        if self._writes:
            left = _pairs(self._note.run(conn, rows, **values))
        return {found: left.get(found, "") for (found,) in self._update.run(conn, rows, **values)}


def _pairs(found: Iterable[Sequence[str]]) -> dict[str, str]:
    return {key: value for key, value in found}  # noqa: C416  rows are sequences; dict() wants tuples


def moved_of(asked: Collection[str], found: Collection[str]) -> Moved:
    """The report of a step: all that were asked for, apart by who moved."""
    moved = frozenset(found)
    return Moved(moved, frozenset(asked) - moved)


def _sources(name: str) -> frozenset[str]:
    return STEPS[name].sources


def _taken(names: Sequence[str]) -> tuple[str, str, str]:
    """SQL for the step's name, its target, and whether d may take it."""
    if len(names) == 1:
        (name,) = names
        return f"'{name}'", f"'{STEPS[name].target}'", f"lower(d.state) IN ({in_list(_sources(name))})"
    targets = " ".join(f"WHEN '{name}' THEN '{STEPS[name].target}'" for name in names)
    legal = " OR ".join(f"r.step = '{name}' AND lower(d.state) IN ({in_list(_sources(name))})" for name in names)
    return "r.step", f"CASE r.step {targets} END", legal
