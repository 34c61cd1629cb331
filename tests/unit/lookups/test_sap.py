"""SAP look-ups: a sales order with its partners, by OData V2."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.lookups.contract import Answer, LookUpFailed
from notifier.lookups.sap import PAGE, PLATFORM
from notifier.sources.contract import LookUp, Malformed
from tests.unit.lookups.talking import hold, shop, told

SHOP = shop("generic")


def address(**more: Any) -> dict[str, Any]:
    return {"Country": "DE", "CorrespondenceLanguage": "DE", "AddresseeFullName": "Eva Lang", **more}


def order(**more: Any) -> dict[str, Any]:
    partners = [
        {"PartnerFunction": "SP", "to_Address": {"results": [address(PhoneNumber="030 111")]}},
        {"PartnerFunction": "SH", "to_Address": {"results": [address(MobileNumber="0170 0000000")]}},
    ]
    return {
        "SalesOrder": "3016329",
        "PurchaseOrderByCustomer": "WEB-17",
        "TotalNetAmount": "52.65",
        "TransactionCurrency": "EUR",
        "OverallDeliveryStatus": "A",
        "OverallSDDocumentRejectionSts": "A",
        "LastChangeDateTime": "/Date(1793871000000+0000)/",
        "to_Partner": {"results": partners},
        "to_Item": {"results": [{"SalesOrderItemText": "Lamp", "RequestedQuantity": "2", "Material": "L-1"}]},
        **more,
    }


def test_user_and_password_go_by_basic_with_the_key_of_api_management() -> None:
    assert PLATFORM.headers({"user": "u", "password": "p"})["Authorization"] == "Basic dTpw"
    assert PLATFORM.headers({"user": "u", "password": "p", "api_key": "k"})["APIKey"] == "k"
    assert (PLATFORM.secrets, PLATFORM.optional) == (("user", "password"), ("api_key",))


def test_the_sales_order_is_told_to_the_phone_of_the_recipient() -> None:
    asked, parsed = hold("sap", LookUp("3016329", "x"), SHOP, [{"d": order()}])
    assert asked[0].path == "/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder('3016329')"
    assert asked[0].given("$expand") == "to_Partner/to_Address,to_Item"
    [draft] = parsed.events
    event = draft.event
    assert (event.event, event.order_id, event.order_number) == ("order.confirmed", "3016329", "WEB-17")
    assert (event.customer.phone, event.customer.country, event.customer.locale) == ("0170 0000000", "DE", "de")
    assert (event.order.total, event.order.currency) == (Decimal("52.65"), "EUR")
    assert [(item.name, item.quantity, item.sku) for item in event.order.items] == [("Lamp", 2, "L-1")]
    assert event.occurred_at == datetime(2026, 11, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rejected", "delivered", "event"),
    [
        ("A", "", "order.confirmed"),
        ("A", "A", "order.confirmed"),
        ("A", "B", "order.partially_shipped"),
        ("B", "C", "order.shipped"),
        ("C", "A", "order.cancelled"),
    ],
)
def test_two_statuses_say_what_happened(rejected: str, delivered: str, event: str) -> None:
    found = order(OverallSDDocumentRejectionSts=rejected, OverallDeliveryStatus=delivered)
    _, parsed = hold("sap", LookUp("3016329", "x"), SHOP, [{"d": found}])
    assert [one for one, _, _ in told(parsed)] == [event]
    assert parsed.events[0].unless is not None and parsed.events[0].unless.value == parsed.orders[0].status


def test_a_status_that_sap_does_not_document_is_kept_and_not_told() -> None:
    _, parsed = hold("sap", LookUp("3016329", "x"), SHOP, [{"d": order(OverallDeliveryStatus="Z")}])
    assert (parsed.events, parsed.ignored) == ((), "a delivery status that SAP does not document")


def test_an_id_that_could_change_the_key_is_never_asked() -> None:
    with pytest.raises(LookUpFailed, match="not one that the platform gives"):
        hold("sap", LookUp("1') or (1 eq 1", "x"), SHOP, [])


def test_pages_are_counted_by_rows() -> None:
    [first] = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))
    assert first.given("$filter") == "LastChangeDateTime ge datetimeoffset'2026-11-05T08:00:00Z'"
    _, second = PLATFORM.page(first, Answer({"d": {"results": [order()] * PAGE}}), SHOP)
    assert second is not None and second.given("$skip") == str(PAGE)
    assert PLATFORM.page(second, Answer({"d": {"results": []}}), SHOP)[1] is None


@given(st.dictionaries(st.sampled_from(list(order())), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_any_sales_order_is_told_or_malformed(more: dict[str, Any]) -> None:
    try:
        hold("sap", LookUp("3016329", "x"), SHOP, [{"d": {**order(), **more}}])
    except Malformed as error:
        assert error.remedy == "see docs/sources/sap.md for the fields that the service must give"
