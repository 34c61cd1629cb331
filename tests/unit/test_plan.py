"""An order event becomes a notification, or a reason for silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import EVENT_KINDS, OrderEvent, Priority, parse_event
from notifier.plan import (
    Decision,
    Plan,
    PlanContext,
    PlannedDelivery,
    PlannedNotification,
    ShopRules,
    lane_for,
    plan,
    recipient_of,
    remember,
)
from notifier.policy.consent import UNDATED, ConsentRecord
from notifier.policy.quiet import Window
from notifier.policy.reasons import SUPPRESSED
from notifier.policy.recipient import NoRecipient, PhoneFault, Recipient
from notifier.policy.shop import Route
from notifier.policy.staleness import Prior

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # 14:00 in Cairo
HOUR = timedelta(hours=1)

SHOP = ShopRules(
    name="nile",
    display_name="Nile Books",
    default_locale="ar",
    default_country="EG",
    channels=("whatsapp", "sms"),
    routes=(
        Route({"whatsapp": "nile-wa", "sms": "nile-sms"}, countries=("EG",)),
        Route({"sms": "gulf-sms"}, countries=("SA",)),
    ),
    templates={name: name.split(".")[1] for name in EVENT_KINDS},
    quiet_hours=Window(time(21), time(8)),
)
GRANTED = ConsentRecord(None, None, True, "checkout", NOW - 24 * HOUR)


def event(name: str = "order.shipped", **changes: Any) -> OrderEvent:
    """An event of order 17. phone, country, locale, consent go to the customer; shipment is an id."""
    customer = {"phone": "01000000017", "country": "EG", "locale": "ar-EG"}
    customer |= {key: changes.pop(key) for key in ("phone", "country", "locale", "consent") if key in changes}
    body: dict[str, Any] = {"shop": "nile", "event": name, "order_id": "17", "customer": customer}
    body["occurred_at"] = changes.pop("occurred_at", NOW).isoformat()
    if "shipment" in changes:
        body["shipment"] = {"id": changes.pop("shipment")}
    return parse_event({**body, **changes})


def pick_locale(template: str, wanted: str | None, default: str) -> str | None:
    """What the catalog does, for templates that are written in ar and en."""
    known = [code for wish in (wanted or "", default) for code in (wish[:2],) if code in ("ar", "en")]
    return known[0] if known else None


def context(**changes: Any) -> PlanContext:
    return replace(PlanContext(SHOP, pick_locale, consents=(GRANTED,)), **changes)


def shop(**changes: Any) -> PlanContext:
    return context(shop=replace(SHOP, **changes))


def made(name: str = "order.shipped", now: datetime = NOW, known: PlanContext | None = None, **changes: Any) -> Plan:
    return plan(event(name, **changes), known or context(), now)


def told(found: Plan) -> tuple[PlannedNotification, PlannedDelivery]:
    assert found.notification is not None
    assert found.delivery is not None
    return found.notification, found.delivery


def silence(found: Plan) -> tuple[str, str]:
    assert found.notification is not None
    assert found.notification.reason is not None
    return found.notification.reason.value, found.notification.detail


def test_an_ordinary_event_is_sent_at_once_on_the_first_channel() -> None:
    found = made(shipment="s1")
    assert found == Plan(
        notification=PlannedNotification(
            shop="nile",
            order_id="17",
            event="order.shipped",
            rank=70,
            always=False,
            shipment_id="s1",
            phone="+201000000017",
            country="EG",
            timezone="Africa/Cairo",
            locale="ar",
            template="shipped",
            channels=("whatsapp", "sms"),
            priority=1,
            state="active",
            reason=None,
            detail="",
            expires_at=NOW + 24 * HOUR,
            due_at=NOW,
        ),
        delivery=PlannedDelivery("nile", "nile-wa", "whatsapp", 0, 1, NOW, NOW + 24 * HOUR),
        supersedes=(),
        consent_record=None,
        phone="+201000000017",
        decisions=(
            Decision("event", "go", "order.shipped, order_updates"),
            Decision("recipient", "go", "a mobile of EG, time zone Africa/Cairo"),
            Decision(
                "consent",
                "go",
                "whatsapp: allowed by checkout, 2026-11-19T12:00:00Z; sms: allowed by checkout, 2026-11-19T12:00:00Z",
            ),
            Decision("template", "go", "shipped"),
            Decision("locale", "go", "ar (wanted ar-EG)"),
            Decision("route", "go", "whatsapp through nile-wa, then sms through nile-sms"),
            Decision("staleness", "go", "nothing later was told or is on its way"),
            Decision("shelf life", "go", "worth telling until 2026-11-21T12:00:00Z"),
            Decision("quiet hours", "go", "21:00-08:00 in Africa/Cairo, not now"),
            Decision("due", "go", "2026-11-20T12:00:00Z"),
        ),
    )


LATER = Prior("n-later", "order.delivered", 110, False, None, "told", False)
STOPPED = ConsentRecord(None, None, False, "stop_word", NOW - HOUR)


@pytest.mark.parametrize(
    ("label", "found", "reason", "detail"),
    [
        ("switched off", made(known=shop(disabled=frozenset({"order.shipped"}))), "disabled",
         "order.shipped is switched off for this shop"),
        ("no phone", made(phone=None), "no_recipient", "missing"),
        ("no mobile", made(phone="02 2517 0017"), "no_recipient", "not_mobile"),
        ("no consent", made(known=context(consents=())), "no_consent",
         "whatsapp: nothing recorded; sms: nothing recorded"),
        ("a stop", made(known=context(consents=(GRANTED, STOPPED))), "opted_out",
         "whatsapp: stopped by stop_word, 2026-11-20T11:00:00Z; sms: stopped by stop_word, 2026-11-20T11:00:00Z"),
        ("a stop of one, nothing of the other",
         made(known=context(consents=(replace(STOPPED, channel="sms"),))), "opted_out",
         "whatsapp: nothing recorded; sms: stopped by stop_word, 2026-11-20T11:00:00Z"),
        ("consent for order updates only",
         made("order.review_request", known=context(consents=(replace(GRANTED, purpose="order_updates"),))),
         "no_consent", "whatsapp: nothing recorded; sms: nothing recorded"),
        ("no template", made(known=shop(templates={})), "no_template", "no template for order.shipped"),
        ("no language", made(locale="fr", known=shop(default_locale="de")), "no_locale", "wanted fr"),
        ("no language, none named", made(locale=None, known=shop(default_locale="de")), "no_locale",
         "none named, the shop's is de"),
        ("no route for the country", made(phone="+447400000017"), "no_route",
         "no sender for order.shipped to GB over whatsapp, sms"),
        ("consent only where no sender is",
         made(phone="+966500000017", known=context(consents=(replace(GRANTED, channel="whatsapp"),))), "no_route",
         "no sender for order.shipped to SA over whatsapp"),
        ("told of something later", made(known=context(priors=(LATER,))), "stale", "order.delivered"),
        ("something later on its way", made(known=context(priors=(replace(LATER, state="active"),))), "superseded",
         "order.delivered"),
        ("too old", made(occurred_at=NOW - 24 * HOUR), "expired", "worth telling until 2026-11-20T12:00:00Z"),
        ("quiet for longer than it keeps",
         made("order.delivered", now=datetime(2026, 11, 20, 19, tzinfo=UTC), occurred_at=NOW - 6 * HOUR,
              known=shop(shelf_lives={"order.delivered": 20 * HOUR})), "expired",
         "quiet hours 21:00-08:00 in Africa/Cairo end after it is worth telling"),
    ],
)  # fmt: skip
def test_silence_has_a_reason(label: str, found: Plan, reason: str, detail: str) -> None:
    assert silence(found) == (reason, detail)
    assert found.notification is not None
    assert found.notification.state == "suppressed"
    assert found.delivery is None
    assert found.supersedes == ()
    assert found.decisions[-1].result == "no"
    assert found.decisions[-1].detail == detail
    assert [line.result for line in found.decisions[:-1]] == ["go"] * (len(found.decisions) - 1)


def test_an_unknown_event_is_stored_and_tells_nobody() -> None:
    found = made("order.gift_wrapped")
    assert found.notification is None
    assert found.delivery is None
    assert found.decisions == (
        Decision("event", "no", "order.gift_wrapped is no event that customers are told of; it is stored"),
    )


def test_without_consent_for_whatsapp_the_message_starts_on_sms() -> None:
    note, delivery = told(made(known=context(consents=(replace(GRANTED, channel="sms"),))))
    assert note.channels == ("sms",)
    assert (delivery.channel, delivery.lane, delivery.position) == ("sms", "nile-sms", 0)


def test_without_a_whatsapp_sender_for_the_country_too() -> None:
    note, delivery = told(made(phone="+966500000017"))
    assert note.channels == ("sms",)
    assert (note.country, note.timezone) == ("SA", "Asia/Riyadh")
    assert delivery.lane == "gulf-sms"


NIGHT = datetime(2026, 11, 20, 22, tzinfo=UTC)  # midnight in Cairo
MORNING = datetime(2026, 11, 21, 6, tzinfo=UTC)


def test_at_night_it_waits_for_the_recipients_morning() -> None:
    found = made(now=NIGHT, occurred_at=NIGHT)
    note, delivery = told(found)
    assert note.due_at == delivery.due_at == MORNING
    assert found.decisions[-2:] == (
        Decision("quiet hours", "later", "21:00-08:00 in Africa/Cairo"),
        Decision("due", "later", "2026-11-21T06:00:00Z"),
    )


def test_the_shops_own_zone_goes_before_the_recipients() -> None:
    note, delivery = told(made(now=NIGHT, occurred_at=NIGHT, known=shop(timezone="America/Sao_Paulo")))
    assert note.timezone == "America/Sao_Paulo"
    assert delivery.due_at == NIGHT


def test_what_is_urgent_goes_at_night() -> None:
    found = made("shipment.out_for_delivery", now=NIGHT, occurred_at=NIGHT)
    assert told(found)[1].due_at == NIGHT
    assert found.decisions[-2] == Decision("quiet hours", "go", "21:00-08:00 in Africa/Cairo, urgent")


def test_a_shop_without_quiet_hours_sends_at_any_time() -> None:
    assert told(made(now=NIGHT, occurred_at=NIGHT, known=shop(quiet_hours=None)))[1].due_at == NIGHT


def test_the_morning_must_come_before_the_expiry_and_not_with_it() -> None:
    edge = {"order.shipped": MORNING - NIGHT}
    assert silence(made(now=NIGHT, occurred_at=NIGHT, known=shop(shelf_lives=edge)))[0] == "expired"
    wider = {"order.shipped": MORNING - NIGHT + timedelta(microseconds=1)}
    assert told(made(now=NIGHT, occurred_at=NIGHT, known=shop(shelf_lives=wider)))[1].due_at == MORNING


@pytest.mark.parametrize(
    ("label", "occurred_at", "expires_at"),
    [
        ("as it happened", NOW - HOUR, NOW + 23 * HOUR),
        ("a shop's clock ahead counts as now", NOW + 3 * HOUR, NOW + 24 * HOUR),
    ],
)
def test_the_shelf_life_begins_when_it_happened(label: str, occurred_at: datetime, expires_at: datetime) -> None:
    assert told(made(occurred_at=occurred_at))[0].expires_at == expires_at


def test_an_event_without_a_time_happened_now() -> None:
    undated = event().model_copy(update={"occurred_at": None})
    assert told(plan(undated, context(), NOW))[0].expires_at == NOW + 24 * HOUR


def test_the_shop_may_change_shelf_life_and_priority() -> None:
    note, delivery = told(
        made(known=shop(shelf_lives={"order.shipped": HOUR}, priorities={"order.shipped": Priority.URGENT}))
    )
    assert note.expires_at == delivery.expires_at == NOW + HOUR
    assert note.priority == delivery.priority == 0


def test_a_newer_event_supersedes_what_is_older_and_unsent() -> None:
    older = Prior("n-created", "order.created", 10, False, None, "active", unsent=True)
    sent = Prior("n-paid", "payment.received", 40, False, None, "active", unsent=False)
    assert made(known=context(priors=(older, sent))).supersedes == ("n-created",)


def test_silence_supersedes_nothing() -> None:
    older = Prior("n-created", "order.created", 10, False, None, "active", unsent=True)
    assert made(known=context(priors=(older,), consents=())).supersedes == ()


def test_a_cancellation_goes_out_whatever_was_told() -> None:
    notification, _ = told(made("order.cancelled", known=context(priors=(replace(LATER, rank=150),))))
    assert (notification.event, notification.always) == ("order.cancelled", True)


CARRIED = {"granted": True, "channel": "sms", "source": "checkout", "at": (NOW - HOUR).isoformat()}
RECORDED = ConsentRecord("sms", "order_updates", True, "checkout", NOW - HOUR)


def test_a_consent_that_the_event_carries_is_recorded_and_obeyed() -> None:
    found = made(consent=CARRIED, known=context(consents=()))
    assert found.consent_record == RECORDED
    assert told(found)[0].channels == ("sms",)


def test_the_same_consent_with_the_next_event_is_not_recorded_again() -> None:
    found = made(consent=CARRIED, known=context(consents=(RECORDED,)))
    assert found.consent_record is None
    assert told(found)[0].channels == ("sms",)


def test_a_stop_that_the_event_carries_is_recorded_and_obeyed() -> None:
    found = made(consent={"granted": False, "source": "account page"})
    assert found.consent_record == ConsentRecord(None, "order_updates", False, "account page", NOW)
    assert silence(found)[0] == "opted_out"


def test_an_undated_grant_does_not_undo_a_stop() -> None:
    found = made(consent={"granted": True}, known=context(consents=(STOPPED,)))
    assert found.consent_record == ConsentRecord(None, "order_updates", True, "event", UNDATED)
    assert silence(found)[0] == "opted_out"


def test_an_undated_grant_says_so_in_the_story() -> None:
    found = made(consent={"granted": True}, known=context(consents=()))
    assert found.decisions[2] == Decision(
        "consent", "go", "whatsapp: allowed by event, undated; sms: allowed by event, undated"
    )


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("an event nobody is told of", made("order.gift_wrapped", consent=CARRIED)),
        ("a switched-off event", made(consent=CARRIED, known=shop(disabled=frozenset({"order.shipped"})))),
        ("an event too old to tell", made(consent=CARRIED, occurred_at=NOW - 100 * HOUR)),
    ],
)
def test_what_a_person_said_is_recorded_even_with(label: str, found: Plan) -> None:
    assert found.consent_record == RECORDED
    assert found.phone == "+201000000017"


def test_without_a_phone_there_is_nobody_to_record_it_of() -> None:
    found = made(consent=CARRIED, phone="n/a")
    assert found.consent_record is None
    assert found.phone is None
    assert found.notification is not None
    assert (found.notification.phone, found.notification.country, found.notification.timezone) == (None, None, None)


def test_the_phone_is_dialled_in_the_addresss_country_then_in_the_shops() -> None:
    assert recipient_of(event(country="SA", phone="0500000017"), SHOP) == Recipient(
        "+966500000017", "SA", "Asia/Riyadh"
    )
    assert recipient_of(event(country=None), SHOP) == Recipient("+201000000017", "EG", "Africa/Cairo")
    assert recipient_of(event(phone=""), SHOP) == NoRecipient(PhoneFault.MISSING)


def test_fallback_finds_its_lane_by_the_same_routes() -> None:
    assert lane_for(SHOP, "EG", "order.shipped", "sms") == "nile-sms"
    assert lane_for(SHOP, "SA", "order.shipped", "whatsapp") is None


def test_a_batch_remembers_what_it_planned() -> None:
    """created, shipped, created again (another revision), all in one batch, none in the ledger yet."""
    known = context(consents=())
    first = plan(event("order.created", consent=CARRIED), known, NOW)
    known = remember(known, first, "n1")
    assert known.consents == [RECORDED]
    assert known.priors == [Prior("n1", "order.created", 10, False, None, "active", unsent=True)]

    second = plan(event("order.shipped"), known, NOW)
    assert second.supersedes == ("n1",)
    known = remember(known, second, "n2")
    assert known.priors == [
        Prior("n1", "order.created", 10, False, None, "suppressed", unsent=False),
        Prior("n2", "order.shipped", 70, False, None, "active", unsent=True),
    ]

    third = plan(event("order.created", revision="2"), known, NOW)
    assert silence(third) == ("superseded", "order.shipped")
    known = remember(known, third, "n3")
    assert known.priors[-1] == Prior("n3", "order.created", 10, False, None, "suppressed", unsent=False)
    assert plan(event("order.delivered"), known, NOW).supersedes == ("n2",)


def test_an_event_without_a_notification_leaves_no_trace_in_a_batch() -> None:
    assert remember(context(), made("order.gift_wrapped"), "n1").priors == []


def test_no_plan_shows_the_phone() -> None:
    found = made()
    assert "1000000017" not in repr(found)


@given(
    st.sampled_from([*EVENT_KINDS, "order.gift_wrapped"]),
    st.sampled_from([None, "01000000017", "+966500000017", "+447400000017", "nobody"]),
    st.integers(-48, 200).map(lambda hours: NOW - hours * HOUR),
    st.integers(0, 23).map(lambda hours: NOW + hours * HOUR),
    st.lists(st.sampled_from([GRANTED, STOPPED, RECORDED, LATER]), max_size=4),
)
def test_every_plan_is_whole(
    name: str, phone: str | None, occurred_at: datetime, now: datetime, said: list[ConsentRecord | Prior]
) -> None:
    known = context(
        consents=[one for one in said if isinstance(one, ConsentRecord)],
        priors=[one for one in said if isinstance(one, Prior)],
    )
    found = made(name, now, known, phone=phone, occurred_at=occurred_at)
    note, delivery = found.notification, found.delivery
    assert (note is None) is (name == "order.gift_wrapped")
    if note is None:
        assert delivery is None
    elif delivery is None:
        assert note.state == "suppressed"
        assert note.reason in SUPPRESSED
    else:
        assert note.state == "active"
        assert note.reason is None
        assert now <= delivery.due_at < delivery.expires_at
        assert delivery.channel == note.channels[0]
        assert (note.due_at, note.expires_at) == (delivery.due_at, delivery.expires_at)
    assert [line.result for line in found.decisions].count("no") == (0 if delivery else 1)
