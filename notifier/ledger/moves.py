# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""The one mechanism behind every step: an UPDATE whose guard comes from STEPS, and the history of what it overwrote.

The quiet moves of a step, those without history, are one plain UPDATE. What it did not move may be a loud one: on
PostgreSQL one statement locks those rows, moves them, and writes history from what the lock saw; SQLite has one writer,
so history first and then the same UPDATE, in the same transaction, come to the same. Rows go in the order of their ids:
two batches that lock in different orders would deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

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
        self._table = STEPS[names[0]].of
        self._key = f"{self._table}_id"
        self._columns = rows
        self._step, self._target = _taken(names)
        self._guard = f" AND {guard}" if guard else ""
        self._set = f"UPDATE {self._table} AS d SET state = {self._target}, {sets}"
        told = {name: _told(name, late) for name in names}
        self._quiet = self._plain({name: STEPS[name].sources - told[name] for name in names})
        self._loud = self._plain(told)
        self._note = self._loud and self._history(told)
        self._whole = self._loud and self._locked(told)

    def _condition(self, sources: Mapping[str, Collection[str]]) -> str:
        """Whether d is the row that r means, and in a state that it may leave."""
        if len(sources) == 1:
            ((_, states),) = sources.items()
            legal = f"lower(d.state) IN ({in_list(states)})"
        else:
            legal = " OR ".join(
                f"r.step = '{name}' AND lower(d.state) IN ({in_list(states)})"
                for name, states in sources.items()
                if states
            )
        return f"d.id = r.{self._key} AND ({legal}){self._guard}"

    def _plain(self, sources: Mapping[str, Collection[str]]) -> Statement | None:
        if not any(sources.values()):
            return None
        where = self._condition(sources)
        return Statement(f"{self._set} FROM ({{rows}}) AS r WHERE {where} RETURNING id", self._columns)

    def _line(self, about: str, was: str) -> str:
        """The SELECT list of a line of history."""
        subject = f"r.{self._key}" if self._table == "delivery" else "NULL"
        known = self._columns.columns
        words = ", ".join(f"r.{word}" if word in known else "NULL" for word in ("reason", "code", "detail"))
        return f"SELECT :now, {about}, {subject}, {self._step}, {was}, {self._target}, {words}, :by"

    def _history(self, sources: Mapping[str, Collection[str]]) -> Statement:
        line = self._line(self._notification, "d.state")
        return Statement(
            f"""
            INSERT INTO history ({HISTORY}) {line}
            FROM ({{rows}}) AS r JOIN {self._table} d ON {self._condition(sources)}
            WHERE true RETURNING {self._key}, from_state""",
            self._columns,
        )

    def _locked(self, sources: Mapping[str, Collection[str]]) -> Statement:
        condition = self._condition(sources)
        return Statement(
            f"""
            WITH r AS MATERIALIZED ({{rows}}), old AS MATERIALIZED (
                SELECT r.*, d.state AS was, {self._notification} AS about
                FROM r JOIN {self._table} d ON {condition} ORDER BY d.id FOR UPDATE OF d
            ), told AS (
                INSERT INTO history ({HISTORY}) {self._line("r.about", "r.was")} FROM old AS r
            ) {self._set} FROM old AS r WHERE {condition} RETURNING d.id, r.was""",
            self._columns,
        )

    @property
    def _notification(self) -> str:
        return "d.notification_id" if self._table == "delivery" else "d.id"

    def run(
        self, conn: Connection, rows: Sequence[object], now: datetime, by: str, **params: str | None
    ) -> dict[str, str]:
        """Moves what may move: the ids that moved, each with the state it left ('' for a move without history)."""
        key = attrgetter(self._key)
        left = sorted(rows, key=key)
        values: dict[str, int | str | None] = {"now": to_us(now), **params}
        moved: dict[str, str] = {}
        if left and self._quiet:
            moved = {found: "" for (found,) in self._quiet.run(conn, left, **values).all()}
            left = [row for row in left if key(row) not in moved]
        if left and self._whole and self._note and self._loud:
            values["by"] = by
            if conn.dialect.name == "postgresql":
                return moved | _pairs(self._whole.run(conn, left, **values))
            moved |= _pairs(self._note.run(conn, left, **values))
            self._loud.run(conn, left, **values)
        return moved


def _pairs(found: Iterable[Sequence[str]]) -> dict[str, str]:
    return {key: value for key, value in found}  # noqa: C416  rows are sequences; dict() wants tuples


def moved_of(asked: Collection[str], found: Collection[str]) -> Moved:
    """The report of a step: all that were asked for, apart by who moved."""
    moved = frozenset(found)
    return Moved(moved, frozenset(asked) - moved)


def _told(name: str, late: Collection[str] | None) -> frozenset[str]:
    """The sources of a step whose leaving goes into history."""
    if late is not None:
        return STEPS[name].sources & frozenset(late)
    return STEPS[name].sources if STEPS[name].told else frozenset()


def _taken(names: Sequence[str]) -> tuple[str, str]:
    """SQL for the step's name and its target."""
    if len(names) == 1:
        return f"'{names[0]}'", f"'{STEPS[names[0]].target}'"
    targets = " ".join(f"WHEN '{name}' THEN '{STEPS[name].target}'" for name in names)
    return "r.step", f"CASE r.step {targets} END"
