"""The parts that both providers share: time, people's memory, faults, limits, record, and what is on its way."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Literal

from notifier.sandbox.answers import Action
from notifier.sandbox.clock import Agenda, SandboxClock
from notifier.sandbox.config import SandboxConfig
from notifier.sandbox.faults import FaultPlan, FaultRule
from notifier.sandbox.ladder import Course, Ladder, with_quirks
from notifier.sandbox.limits import PairBuckets, ServiceWindows, SlidingWindow, UniqueRecipients
from notifier.sandbox.people import Person
from notifier.sandbox.record import Arrival, Record
from notifier.sandbox.webhooks import Outbox


class World:
    """One sandbox without its doors. All of it lives in one thread; nothing in it blocks.

    clock: given in tests; otherwise one that runs at the configured rate.
    """

    def __init__(self, config: SandboxConfig, clock: SandboxClock | None = None) -> None:
        self.config = config
        self.clock = clock or SandboxClock(config.clock_rate)
        self.agenda = Agenda(self.clock)
        self.record = Record()
        self.faults = FaultPlan(config.seed)
        self.ladder = Ladder(self.clock, self.agenda, self.record)
        self.outbox = Outbox(self.clock, self.agenda, config)
        self.webhook_urls = {number.phone_number_id: number.webhook_url for number in config.numbers}
        self._ids = itertools.count(1)
        self._start_counting()

    def _start_counting(self) -> None:
        self.throughput = SlidingWindow(1.0)
        self.pairs = PairBuckets(self.config.pair_burst, self.config.pair_refill_real_seconds)
        self.recipients = UniqueRecipients()
        self.service_windows = ServiceWindows()
        self.management = SlidingWindow(3600.0)
        self._requests: Counter[tuple[str, str]] = Counter()
        self._messages: Counter[str] = Counter()

    def reset(self) -> None:
        """As freshly started, but for templates, subscriptions and webhook addresses. Arrival ids go on."""
        self.agenda.clear()
        self.outbox.clear()
        self.record.clear()
        self.faults.put((), self.clock.monotonic())
        self._start_counting()

    def arrival(self, provider: Literal["meta", "twilio"], sender: str, recipient: str) -> Arrival:
        """A new entry of the record, for a request that has just come in."""
        arrival = Arrival(
            id=next(self._ids),
            at=self.clock.now(),
            monotonic=self.clock.monotonic(),
            real=self.clock.real(),
            provider=provider,
            channel="whatsapp" if provider == "meta" else "sms",
            sender=sender,
            recipient=recipient,
        )
        self.record.add(arrival)
        return arrival

    def trouble(
        self, path: str, recipient: str, habit: Action | None, once: bool
    ) -> tuple[Action | None, FaultRule | None]:
        """What goes wrong with this request: the fault plan first, then the person's own habit."""
        action, receipts = self.faults.meet(path, recipient, self.clock.monotonic())
        if action is None and habit is not None:
            key = (path.rsplit("/", 1)[-1], recipient)
            self._requests[key] += 1
            action = habit if not once or self._requests[key] == 1 else None
        return action, receipts

    def nth_message(self, recipient: str) -> int:
        """The how manieth accepted message to this phone; seeds its scatter."""
        self._messages[recipient] += 1
        return self._messages[recipient]

    def told(self, course: Course, person: Person, rule: FaultRule | None) -> Course:
        """The course with the person's and the fault plan's quirks."""
        course = with_quirks(course, person.quirks, 0.0)
        return course if rule is None or rule.receipts is None else with_quirks(course, (rule.receipts,), rule.hold)
