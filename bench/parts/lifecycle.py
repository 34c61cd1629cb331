"""Everything at once: events in, messages out, receipts back, as fast as it can be kept up for a minute."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import text

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import APP_SECRET, NUMBER_ID, UNLIMITED, WABA_ID, House, Place, Player, migrated
from bench.measure import cpu_seconds, tree_cpu_seconds
from bench.say import say
from bench.sizes import Sizes
from bench.stub import Stub
from notifier.inbox import measure
from notifier.ledger import Ledger, open_ledger

# A process a stage, so that CPU can be told apart; `notifier up` has intake, receipts and sweeps in one.
STAGES = ("intake", "whatsapp", "receipts", "sweeps")

# Each rate of the ramp against the one before; the steady rate against the last that was kept up.
_STEEPER, _BELOW, _BACK = 1.25, 0.95, 0.88

# Tries for a steady minute; a slice of it is a sample.
_TRIES, _SLICES = 6, 6

# How long after the feed's start receipts come as evenly as messages leave: the last of them takes 3 s.
_EVEN = 5.0

_LOOK = 0.5


@dataclass(frozen=True)
class Line:
    """The whole line at work."""

    place: Place
    stub: Stub
    feed: Player
    ledger: Ledger
    redis: Redis
    pids: Mapping[str, int]  # stage -> process
    postgres: int | None

    def oldest(self) -> float:
        """Seconds that the first entry of the slowest queue has waited: the inbox, a lane, receipts, or the feed."""
        ages = [measure(self.redis, f"{self.place.prefix}{stream}")[1] for stream in ("inbox", "receipts")]
        with self.ledger.read() as conn:
            due = conn.execute(text("SELECT min(due_at) FROM delivery WHERE state = 'queued'")).scalar()
        waits = time.time() - due / 1e6 if due else 0.0
        self.feed.tell(ask=1)
        return max(waits, float(self.feed.hear()["behind"]), *(age.total_seconds() if age else 0.0 for age in ages))

    def read(self) -> int:
        """Messages whose whole way is in the ledger: sent, delivered, read."""
        with self.ledger.read() as conn:
            return int(conn.execute(text("SELECT count(*) FROM delivery WHERE state = 'read'")).scalar() or 0)

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each stage so far."""
        spent = {stage: cpu_seconds(pid) for stage, pid in self.pids.items()}
        return spent | ({"postgresql": tree_cpu_seconds(self.postgres)} if self.postgres else {})


@dataclass(frozen=True, slots=True)
class Steady:
    """A rate that was kept up: messages a second in each slice, and CPU seconds a message and stage."""

    rates: tuple[float, ...]
    cpu: Mapping[str, float]


def on_postgresql(house: House) -> Mapping[str, Figure]:
    """The sustained rate, and what each stage costs at it."""
    with house.ledger("lifecycle") as url, _line(house, "lifecycle", url, house.postgres.pid) as line:
        steady = _sustained(house, line)
    costs = {f"cost.us_per_msg.{stage}": measured(seconds * 1e6) for stage, seconds in steady.cpu.items()}
    return {"lifecycle.msgs_per_s": measured(*steady.rates), **costs}


def on_sqlite(house: House) -> Mapping[str, Figure]:
    """The same on the embedded default."""
    path = house.home / "lifecycle.db"
    path.unlink(missing_ok=True)
    with _line(house, "sqlite", migrated(f"sqlite:///{path}"), None) as line:
        return {"lifecycle.sqlite_msgs_per_s": measured(*_sustained(house, line).rates)}


@contextlib.contextmanager
def _line(house: House, name: str, url: str, postgres: int | None) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(house.stub(f"stub-{name}"))
        place = house.place(name, url, {"lane-0": UNLIMITED}, stub.url)
        workers = stack.enter_context(place.workers(STAGES, gateway=True))
        told = {"gateway_url": place.gateway_url, "secret": APP_SECRET, "waba_id": WABA_ID, "number_id": NUMBER_ID}
        stack.enter_context(place.playing("roles.report_back", log=str(stub.log), **told))
        feed = stack.enter_context(place.playing("roles.feed", first=0))
        ledger = open_ledger(url)
        stack.callback(ledger.dispose)
        redis = stack.enter_context(Redis.from_url(place.redis_url))
        names = ("intake", "deliver", "receipts", "sweeps")
        pids = {stage: workers[f"worker-{number}"] for number, stage in enumerate(names)}
        pids |= {"notify": feed.pid, "gateway": workers["gateway"], "redis": house.redis.pid}
        yield Line(place, stub, feed, ledger, redis, pids, postgres)


def _sustained(house: House, line: Line) -> Steady:
    rate = _ramp(house, line)
    for _ in range(_TRIES):
        _catch_up(line)
        line.feed.tell(rate=rate)
        time.sleep(_EVEN)
        steady = _held(line, rate, house.sizes)
        if steady:
            return steady
        rate *= _BACK
    raise Broken(f"no rate above {rate:.0f}/s was kept up for {house.sizes.steady:g} s")


def _ramp(house: House, line: Line) -> float:
    """The last rate that kept the queues young, a little lowered. One that did not is tried again: disks hiccup."""
    rate, again = house.sizes.ramp_from, True
    while rate < house.sizes.ramp_to:
        line.feed.tell(rate=rate)
        time.sleep(house.sizes.ramp_step * 0.6)
        oldest = _oldest_within(line, house.sizes.ramp_step * 0.4)
        say(f"ramp {line.place.home.name}: {rate:,.0f}/s, oldest {oldest:.2f} s")
        if oldest <= house.sizes.too_old / 2:
            rate, again = rate * _STEEPER, True
        elif again:
            again = False
            _catch_up(line)
        else:
            break
    return rate / _STEEPER * _BELOW


def _oldest_within(line: Line, seconds: float) -> float:
    deadline, oldest = time.monotonic() + seconds, line.oldest()
    while time.monotonic() < deadline:
        time.sleep(_LOOK)
        oldest = max(oldest, line.oldest())
    return oldest


def _catch_up(line: Line) -> None:
    line.feed.tell(rate=0)
    deadline = time.monotonic() + 60
    while line.oldest() > 0.1:
        if time.monotonic() > deadline:
            raise Broken("the queues were not empty a minute after the feed had stopped")
        time.sleep(0.2)


def _held(line: Line, rate: float, sizes: Sizes) -> Steady | None:
    """The steady state at this rate; None when it is not one: a queue aged, or less came out than went in."""
    before, rates, counted, moment = line.cpu(), [], line.read(), time.monotonic()
    begun, first, oldest = moment, counted, 0.0
    for _ in range(_SLICES):
        oldest = max(oldest, _oldest_within(line, sizes.steady / _SLICES))
        done, now = line.read(), time.monotonic()
        rates.append((done - counted) / (now - moment))
        counted, moment = done, now
    spent = {stage: after - before[stage] for stage, after in line.cpu().items()}
    mean = (counted - first) / (moment - begun)
    say(f"{line.place.home.name}: fed {rate:,.0f}/s, read {mean:,.0f}/s, oldest {oldest:.2f} s")
    if oldest > sizes.too_old or mean < sizes.kept_up * rate:
        return None
    return Steady(tuple(rates), {stage: used / (counted - first) for stage, used in spent.items()})
