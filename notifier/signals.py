"""What may be noted: every log event and every metric of notifier, in one table.

The table is the allow-list of what a log line may carry, the source of docs/operations.md, and plain data: it costs a
backend that imports `notify()` nothing. `telemetry.note` is the only reader that acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A Prometheus metric that a signal moves.

    fields: the keys of the signal whose values are added (counter) or observed (histogram); none: each note counts one.
    labels: keys of the signal. by_field: one more label, which says from which of `fields` the value came.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    by_field: str | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        return (*self.labels, self.by_field) if self.by_field else self.labels


@dataclass(frozen=True, slots=True)
class Signal:
    """Something worth noting. level None: no log line, only metrics. says: the sentence for whoever reads the log."""

    name: str
    level: Level | None
    says: str
    keys: tuple[str, ...]
    metrics: tuple[Metric, ...] = ()
    key_set: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_set", frozenset(self.keys))


def _counter(name: str, text: str, *labels: str, fields: tuple[str, ...] = (), by: str | None = None) -> Metric:
    return Metric(f"notifier_{name}_total", "counter", text, labels, fields, by)


def _seconds(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"notifier_{name}_seconds", "histogram", text, labels, ("seconds",))


_TURN = ("accepted", "requeued", "failed", "unknown", "suppressed", "lost")

SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal(
            "inbox.full",
            "error",
            "The inbox has reached its greatest length; doors answer InboxFull until intake has caught up.",
            ("length", "limit"),
            (_counter("inbox_refused", "Events refused at a door because the inbox was full."),),
        ),
        Signal(
            "intake.batch",
            "info",
            "A batch of order events was planned and written to the ledger in one transaction.",
            ("events", "new", "duplicates", "quarantined", "seconds"),
            (
                _counter(
                    "intake_events",
                    "Order events that intake has ended, by how.",
                    fields=("new", "duplicates", "quarantined"),
                    by="end",
                ),
                _seconds("intake_batch", "Time from reading a batch to its acknowledgement."),
            ),
        ),
        Signal(
            "intake.quarantined",
            "warning",
            "An event cannot be planned; it waits in the quarantine stream with its reason and can be fed again.",
            ("event_id", "reason"),
            (_counter("intake_quarantined", "Events put into quarantine.", "reason"),),
        ),
        Signal(
            "webhooks.batch",
            "info",
            "A batch of webhook bodies of the shops' platforms was read, and its events are in the inbox.",
            ("bodies", "events", "waiting", "unchanged", "ignored", "quarantined", "seconds"),
            (
                _counter("webhook_bodies", "Webhook bodies read.", fields=("bodies",)),
                _counter(
                    "webhook_events",
                    "Events in webhook bodies by end: handed in, waiting for their order, or telling nothing new.",
                    fields=("events", "waiting", "unchanged"),
                    by="end",
                ),
                _seconds("webhooks_batch", "Time from reading a batch of webhook bodies to its end."),
            ),
        ),
        Signal(
            "source.redacted",
            "info",
            "A platform demanded that people be forgotten; their orders, waiting events and event bodies are.",
            ("shop", "orders", "waiting", "events"),
            (_counter("source_redactions", "Demands to forget somebody that were obeyed.", "shop"),),
        ),
        Signal(
            "plan.decided",
            None,
            "An order event became a notification, or a reason for silence.",
            ("shop", "state", "reason"),
            (_counter("notifications_planned", "Notifications by first decision.", "shop", "state", "reason"),),
        ),
        Signal(
            "double.seen",
            "error",
            "A customer was told the same thing twice: the first channel delivered after the second had been sent.",
            ("notification_id",),
            (_counter("doubles", "Notifications that reached a customer over two channels. It should stay at zero."),),
        ),
        Signal(
            "drain.turn",
            "info",
            "A drain recorded what came back, and claimed what goes next, in one transaction.",
            ("lane", "claimed", *_TURN, "seconds"),
            (
                _counter("deliveries_claimed", "Deliveries claimed for sending.", "lane", fields=("claimed",)),
                _counter("deliveries", "Claimed deliveries by what became of them.", "lane", fields=_TURN, by="end"),
                _seconds("drain_turn", "Time of one transaction that records and claims.", "lane"),
            ),
        ),
        Signal(
            "drain.ended",
            "debug",
            "A drain gave its worker back; `more` says whether it queued itself again.",
            ("lane", "turns", "claimed", "more"),
            (_counter("drains", "Drains run to their end.", "lane"),),
        ),
        Signal(
            "delivery.poison",
            "error",
            "A delivery makes notifier fail, or every drain that held it died; it is set aside, the next channel goes.",
            ("delivery_id", "place"),
            (_counter("deliveries_poisoned", "Deliveries set aside because they make notifier fail."),),
        ),
        Signal(
            "delivery.latency",
            None,
            "A provider accepted a delivery.",
            ("channel", "seconds"),
            (_seconds("delivery_latency", "Time from due to accepted by the provider.", "channel"),),
        ),
        Signal(
            "lane.throttled",
            "warning",
            "The provider said that this sender is too fast; its rate was lowered and climbs back by itself.",
            ("lane", "rate"),
            (_counter("lane_throttles", "Times a lane's rate was lowered.", "lane"),),
        ),
        Signal(
            "portfolio.filling",
            "warning",
            "A portfolio has written to most of the people that its tier allows in 24 hours; beyond it messages wait.",
            ("portfolio", "used", "tier"),
            (_counter("portfolio_warnings", "Drains that left their portfolio nearly full.", "portfolio"),),
        ),
        Signal(
            "receipts.batch",
            "info",
            "A batch of receipts was applied to the ledger.",
            ("receipts", "applied", "parked", "ignored", "doubles", "seconds"),
            (
                _counter(
                    "receipts",
                    "Receipts by what became of them.",
                    fields=("applied", "parked", "ignored"),
                    by="end",
                ),
                _seconds("receipts_batch", "Time from reading a batch to its acknowledgement."),
            ),
        ),
        Signal(
            "receipts.lost",
            "error",
            "Receipts of this lane were lost until then; for what was on its way `fallback.unknown` decides.",
            ("lane", "until", "share"),
            (_counter("receipts_lost", "Sweeps that found receipts of a lane lost.", "lane"),),
        ),
        Signal(
            "receipts.not_told",
            "warning",
            "A provider was asked after messages whose receipts are missing, and gave no answer; it is asked again.",
            ("lane",),
            (_counter("receipts_not_told", "Times that a provider gave no answer about missing receipts.", "lane"),),
        ),
        Signal(
            "receipts.gap",
            "error",
            "Redis was emptied or turned back in time, and receipts that we had taken may have been in it.",
            (),
            (
                _counter(
                    "receipts_gaps",
                    "Times that Redis was found without the stream of receipts, or its end.",
                ),
            ),
        ),
        Signal(
            "fallback.opened",
            "info",
            "A channel failed or stayed silent; the next channel's delivery was opened.",
            ("lane", "channel", "reason"),
            (_counter("fallbacks", "Deliveries opened on the next channel.", "lane", "channel", "reason"),),
        ),
        Signal(
            "sweep.done",
            "info",
            "A sweep ended. `error` names the type of the fault that stopped it, if one did.",
            ("sweep", "seen", "moved", "lost", "finished", "error", "seconds"),
            (
                _counter(
                    "sweep_rows",
                    "Rows by sweep and by what it did.",
                    "sweep",
                    fields=("seen", "moved", "lost"),
                    by="end",
                ),
                _seconds("sweep", "Time of one run of a sweep.", "sweep"),
            ),
        ),
        Signal(
            "breaker.opened",
            "error",
            "A breaker opened: this sender or template sends nothing until a probe succeeds or somebody resumes it.",
            ("kind", "name", "reason", "code"),
            (_counter("breaker_openings", "Breakers opened.", "kind", "name", "reason"),),
        ),
        Signal(
            "breaker.closed",
            "info",
            "A breaker closed: the sender or template is in use again.",
            ("kind", "name", "reason", "code"),
            (_counter("breaker_closings", "Breakers closed.", "kind", "name"),),
        ),
        Signal(
            "ledger.away",
            "warning",
            "The ledger cannot be reached; the process waits and tries again. Nothing is lost.",
            ("where", "wait"),
            (_counter("ledger_away", "Times a process found the ledger away and waited.", "where"),),
        ),
        Signal(
            "road.away",
            "warning",
            "Redis cannot be reached; the process waits and tries again, and nothing is sent meanwhile.",
            ("where", "wait"),
            (_counter("road_away", "Times a process found Redis away and waited.", "where"),),
        ),
        Signal(
            "pump.fault",
            "error",
            "A fault of ours stopped a batch of a stream; it comes again, an entry at a time, and poison is set aside.",
            ("where", "place"),
            (_counter("pump_faults", "Batches of a stream that ended in a fault of ours.", "where"),),
        ),
        Signal(
            "clock.off",
            "warning",
            "This machine's own clock is wrong by more than a second; notifier counts in Redis's time, unharmed.",
            ("host", "seconds"),
            (_counter("clock_off", "Looks at Redis's time that found a machine's own clock wrong.", "host"),),
        ),
        Signal("worker.started", "info", "A worker process takes work from its queues.", ("worker", "queues")),
        Signal(
            "metrics.unserved",
            "warning",
            "The port for /metrics cannot be used; the process works on without. Processes of a host need one each.",
            ("port",),
        ),
        Signal("worker.stopping", "info", "A worker process finishes what it holds, then ends.", ("worker", "signal")),
        Signal(
            "telemetry.dropped",
            "debug",
            "A note had a name or key outside this table; what was unknown has been left out. A fault of ours.",
            ("problem",),
            (_counter("telemetry_dropped", "Notes with a name or key outside the table."),),
        ),
        Signal(
            "library",
            "warning",
            "A library that notifier stands on said something; the level is the library's own.",
            ("logger", "message"),
        ),
        Signal(
            "gateway.refused",
            "warning",
            "The gateway refused a request, and nothing of it was kept.",
            ("route", "reason", "status"),
            (_counter("gateway_refusals", "Requests refused by the gateway.", "route", "reason", "status"),),
        ),
        Signal(
            "gateway.fault",
            "error",
            "The gateway failed at a request by a fault of its own; the sender was answered 500.",
            (),
            (_counter("gateway_faults", "Requests that the gateway failed at by its own fault."),),
        ),
        Signal(
            "gateway.events",
            None,
            "The gateway put order events that came over HTTP where they are safe, those of several requests at once.",
            ("queued", "duplicate", "seconds"),
            (
                _counter(
                    "gateway_events",
                    "Order events taken over HTTP.",
                    fields=("queued", "duplicate"),
                    by="status",
                ),
                _seconds("gateway_events", "Time that it took to put them there."),
            ),
        ),
        Signal(
            "gateway.rejected",
            None,
            "The gateway did not take order events: they are no order events, or not of the caller's shop.",
            ("events", "reason"),
            (_counter("gateway_rejected", "Order events rejected by the gateway.", "reason", fields=("events",)),),
        ),
        Signal(
            "gateway.past_the_road",
            "warning",
            "Redis is away; the gateway wrote order events into the ledger itself.",
            ("events",),
            (
                _counter(
                    "gateway_past_the_road", "Order events that the gateway wrote into the ledger.", fields=("events",)
                ),
            ),
        ),
        Signal(
            "gateway.unsigned",
            "warning",
            "A webhook was refused: no secret is configured for its source, or none of them signed it.",
            ("shop", "source", "reason"),
            (_counter("gateway_unsigned", "Webhooks whose signature was refused.", "shop", "source", "reason"),),
        ),
        Signal(
            "gateway.keys_away",
            "warning",
            "A platform's public key could not be fetched; the webhook was answered 503, and comes again.",
            (),
            (_counter("gateway_keys_away", "Webhooks refused for want of the platform's public key."),),
        ),
        Signal(
            "gateway.webhooks",
            None,
            "The gateway put a platform's webhook on the road.",
            ("shop", "source", "seconds"),
            (
                _counter("gateway_webhooks", "Webhooks of platforms accepted by the gateway.", "shop", "source"),
                _seconds("gateway_webhook", "Time from the last byte of a webhook to its answer.", "shop", "source"),
            ),
        ),
        Signal(
            "gateway.receipts",
            None,
            "The gateway put a provider's report on the road.",
            ("provider", "seconds"),
            (
                _counter("gateway_bodies", "Provider reports accepted by the gateway.", "provider"),
                _seconds("gateway_append", "Time from the last byte of a report to its place on the road.", "provider"),
            ),
        ),
    )
}

GAUGES: dict[str, Metric] = {
    gauge.name: gauge
    for gauge in (
        Metric("notifier_lane_queued", "gauge", "Deliveries of a lane that wait, due or not.", ("lane", "channel")),
        Metric("notifier_lane_due", "gauge", "Deliveries of a lane that could be sent now.", ("lane", "channel")),
        Metric(
            "notifier_lane_oldest_due_seconds", "gauge", "Age of a lane's oldest due delivery.", ("lane", "channel")
        ),
        Metric("notifier_lane_limit", "gauge", "Messages a second that a lane's provider allows.", ("lane", "channel")),
        Metric("notifier_lane_claimed", "gauge", "Deliveries that a drain holds right now.", ("lane", "channel")),
        Metric("notifier_lane_unknown", "gauge", "Deliveries whose answer was lost.", ("lane", "channel")),
        Metric(
            "notifier_lane_newest_receipt_seconds",
            "gauge",
            "How long ago, by the provider's clock, the newest receipt of a lane was made.",
            ("lane",),
        ),
        Metric(
            "notifier_lane_unheard_share",
            "gauge",
            "Share without any receipt of what a lane had accepted about when receipts were missing last.",
            ("lane",),
        ),
        Metric("notifier_breaker_open", "gauge", "1 for each breaker that is open.", ("kind", "name", "reason")),
        Metric(
            "notifier_stream_length",
            "gauge",
            "Entries of a stream: inbox, webhooks, receipts, quarantine.",
            ("stream",),
        ),
        Metric("notifier_stream_oldest_seconds", "gauge", "Age of a stream's first entry.", ("stream",)),
        Metric(
            "notifier_clock_offset_seconds",
            "gauge",
            "By how much the own clock of a machine at work is ahead of the house's time, which is Redis's.",
            ("host",),
        ),
        Metric("notifier_store_up", "gauge", "1 where the gateway reaches the store, else 0.", ("store",)),
    )
}
