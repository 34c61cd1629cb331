"""Any order of orders, drains, crashes, receipts, sweeps and time, against what really reached the phones.

The ledger's own machine (tests/integration/ledger) holds every step to the table of legal moves. This one holds the
movements to the promise: no message that was taken is sent again, nobody is told twice, and in the end the ledger says
what is true.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from notifier import sweeps
from notifier.carry import Carried
from notifier.handles import Exchange
from notifier.ids import new_id
from notifier.ledger import Ledger, open_ledger, upgrade
from notifier.ledger.states import ALIVE
from notifier.sweeps import SWEEPS, sweep
from tests.fixtures.drains import LOST, NOT_SENT, Says, Scripted, accepted, drain_of, due, queued_sms, refused
from tests.fixtures.ledger import postgres_ledger
from tests.fixtures.runtime import Clock, World, make_runtime
from tests.integration.movements.arriving import receive, status, twilio, webhook

LANES = {"nile-wa": "whatsapp", "nile-sms": "sms"}
MANNERS = ("yes", "yes", "yes", "no", "lost, taken", "lost", "not sent", "too fast")
FATES = ("shown", "shown", "off", "failed")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FINAL_NOTE = {"told", "unreached", "suppressed"}

# Not `ask_after_silence`: it asks a provider over the network, and has tests of its own.
REPAIRS = [name for name in SWEEPS if name not in {"ask_after_silence"}]

Receipt = tuple[str, bytes | tuple[bytes, str]]  # the provider, and what it posts


@dataclass
class Truth:
    """What really happened: who was shown what, which requests were taken, and the receipts that are on their way."""

    random: Random
    taken: set[str] = field(default_factory=set)  # delivery ids
    shown: Counter[str] = field(default_factory=Counter)  # by notification
    of_shown: list[Receipt] = field(default_factory=list)
    of_others: list[Receipt] = field(default_factory=list)

    def take(self, carried: Carried, provider_id: str) -> None:
        """The provider took this message, whatever we hear of it."""
        ref, fate = carried.claimed.delivery_id, self.random.choice(FATES)
        assert ref not in self.taken, "a message that was taken was sent again"
        self.taken.add(ref)
        words = {"shown": ["sent", "delivered", "read"], "off": ["sent"], "failed": ["failed"]}[fate]
        posts = [_post(carried, word, provider_id) for word in words[: self.random.choice((2, 3))]]
        if fate == "shown":
            self.shown[carried.claimed.notification_id] += 1
            self.of_shown += posts
        else:
            self.of_others += posts


def _post(carried: Carried, word: str, provider_id: str) -> Receipt:
    ref = carried.claimed.delivery_id
    if carried.claimed.channel == "whatsapp":
        more: dict[str, Any] = {"code": 131026} if word == "failed" else {}
        return "meta", webhook(status(word, provider_id, ref=ref, **more))
    word = "undelivered" if word == "failed" else word
    return "twilio", (twilio(MessageSid=provider_id, MessageStatus=word), f"ref={ref}")


class Provider(Scripted):
    """A provider whose manners are drawn."""

    def __init__(self, truth: Truth, **more: Any) -> None:
        super().__init__(**more)
        self.truth = truth

    def _exchange(self, carried: Carried) -> Exchange:
        said, provider_id = self._answer(carried), f"p.{new_id()}"
        if said is None:
            said = accepted(provider_id) if carried.claimed.channel == "whatsapp" else queued_sms()
            if carried.claimed.channel == "sms":
                said = Says(201, said.body.replace(said.body.split(b'"')[3], provider_id.encode()))
            self.truth.take(carried, provider_id)
        return Exchange(carried, said.status, said.body, said.failure, "", 0.01)

    def _answer(self, carried: Carried) -> Says | None:
        """None: yes."""
        manner = self.truth.random.choice(MANNERS)
        if manner == "lost, taken":
            self.truth.take(carried, f"p.{new_id()}")
        whatsapp = carried.claimed.channel == "whatsapp"
        no, too_fast = (refused(131026), refused(130429)) if whatsapp else (_sms(21211), _sms(20429, 429))
        return {"lost": LOST, "lost, taken": LOST, "not sent": NOT_SENT, "no": no, "too fast": too_fast}.get(manner)

    def die(self) -> None:
        """The process is gone; what had left is taken, or it is not, and nobody here hears of it."""
        for carried in self._waiting:
            if self.truth.random.random() < 0.6:
                self.truth.take(carried, f"p.{new_id()}")


def _sms(code: int, status: int = 400) -> Says:
    return Says(status, b'{"code":%d,"message":"no","status":%d}' % (code, status))


class Machine(RuleBasedStateMachine):
    """One ledger and Redis for a run; each example has shops' orders and keys of its own."""

    ledger: Ledger
    redis: Redis

    @initialize(seed=st.integers(0, 2**32))
    def new(self, seed: int) -> None:
        with self.ledger.begin() as conn:
            for table in ("history", "parked_receipt", "delivery", "notification", "order_event", "consent", "breaker"):
                conn.exec_driver_sql(f"DELETE FROM {table}")
        self.redis.flushdb()
        self.clock, self.truth = Clock(), Truth(Random(seed))
        self.world = World(make_runtime(self.ledger, self.redis, clock=self.clock), self.clock, [])

    @rule(count=st.integers(1, 3), order=st.sampled_from([None, "o-1", "o-2"]))
    def orders(self, count: int, order: str | None) -> None:
        for _ in range(count):
            due(self.world, order_id=order, due_at=self.clock(), expires_at=self.clock() + 24 * HOUR, always=True)

    @rule(lane=st.sampled_from(list(LANES)), turns=st.integers(1, 4))
    def drains(self, lane: str, turns: int) -> None:
        """To its end; a throttled sender's drain would wait for a second, and is left after some turns, warmly."""
        work = drain_of(self.world, Provider(self.truth), lane)
        for _ in range(turns):
            work.turn()
        work.closing = True
        work.release()
        while work.busy:
            work.turn()

    @rule(lane=st.sampled_from(list(LANES)), turns=st.integers(1, 3))
    def crashes(self, lane: str, turns: int) -> None:
        provider = Provider(self.truth, hold=True)
        work = drain_of(self.world, provider, lane)
        for _ in range(turns):
            work.turn()
        provider.die()

    @rule(count=st.integers(1, 6), again=st.booleans())
    def receipts(self, count: int, again: bool) -> None:
        """Some of those on their way, in any order; again: they stay on their way, and come once more."""
        for pool in (self.truth.of_shown, self.truth.of_others):
            self.truth.random.shuffle(pool)
            self._post(pool[:count])
            if not again:
                del pool[:count]

    @rule(name=st.sampled_from(REPAIRS))
    def repairs(self, name: str) -> None:
        report = sweep(self.world.runtime, name)
        assert report.error is None

    @rule()
    def leases_end(self) -> None:
        """And the sweep sees it, before any receipt of what had left."""
        self.clock.move(2 * MINUTE)
        self.repairs("release_expired_leases")

    @rule(hours=st.integers(1, 6))
    def time_passes(self, hours: int) -> None:
        """Receipts of what was shown come before silence counts: that much is the promise's condition."""
        self._post(self.truth.of_shown)
        self.truth.of_shown.clear()
        self.clock.move(hours * HOUR)

    def _post(self, posts: list[Receipt]) -> None:
        for provider, group in itertools.groupby(sorted(posts, key=lambda one: one[0]), key=lambda one: one[0]):
            receive(self.world, *(body for _, body in group), provider=provider)

    def _rows(self, table: str) -> list[Any]:
        columns = {"delivery": "id, notification_id, state", "notification": "id, state, reason"}[table]
        with self.ledger.read() as conn:
            return list(conn.exec_driver_sql(f"SELECT {columns} FROM {table}"))

    @invariant()
    def nobody_is_told_twice(self) -> None:
        if hasattr(self, "truth"):
            assert [one for one, times in self.truth.shown.items() if times > 1] == []

    @invariant()
    def no_notification_has_two_deliveries_alive(self) -> None:
        if hasattr(self, "truth"):
            alive = Counter(row[1] for row in self._rows("delivery") if row[2] in ALIVE)
            assert [one for one, number in alive.items() if number > 1] == []

    def teardown(self) -> None:
        """Everything comes to rest, and the ledger says what is true."""
        if not hasattr(self, "truth"):
            return
        for _ in range(40):
            self._settle()
            if all(state in FINAL_NOTE for _, state, _ in self._rows("notification")):
                break
        for found, state, reason in self._rows("notification"):
            told = self.truth.shown[found] > 0
            assert state in FINAL_NOTE, (state, reason)
            assert (state == "told") is told, (state, reason, told)
            assert state == "told" or reason, "silence without a reason"
        self.nobody_is_told_twice()

    def _settle(self) -> None:
        self.leases_end()
        self.drains("nile-wa", 2)
        self.time_passes(1)
        self._post(self.truth.of_others)
        self.truth.of_others.clear()
        for name in REPAIRS:
            sweep(self.world.runtime, name)
        for lane in LANES:
            self.drains(lane, 4)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Ledger]:
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    upgrade(ledger)
    yield ledger
    ledger.dispose()


def _run(ledger: Ledger, redis: Redis, examples: int) -> None:
    machine = cast("Any", type("OnThisLedger", (Machine,), {"ledger": ledger, "redis": redis}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.timeout(300)
def test_on_sqlite_the_phones_and_the_ledger_agree(tmp_path: Path, redis_client: Redis) -> None:
    with _sqlite(tmp_path) as ledger:
        _run(ledger, redis_client, 20)


@pytest.mark.timeout(300)
def test_the_machine_finds_a_house_that_sends_again_what_a_dead_drain_may_have_sent(
    tmp_path: Path, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a story that leads there: drawn at random, one run in some found it not within a hundred."""
    monkeypatch.setattr(sweeps, "_stayed", lambda *_: True)
    with _sqlite(tmp_path) as ledger, pytest.raises(AssertionError, match="was sent again"):
        machine = cast("Any", type("OnThisLedger", (Machine,), {"ledger": ledger, "redis": redis_client}))()
        for seed in range(20):
            machine.new(seed)
            machine.orders(3, None)
            machine.crashes("nile-wa", 3)
            machine.leases_end()
            machine.drains("nile-wa", 4)


@pytest.mark.timeout(300)
def test_on_postgresql_the_phones_and_the_ledger_agree(postgres_url: str, redis_client: Redis) -> None:
    for ledger in postgres_ledger(postgres_url):
        upgrade(ledger)
        _run(ledger, redis_client, 8)
