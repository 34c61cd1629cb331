"""Where the secrets of signatures come from, and what a caller may."""

from __future__ import annotations

import pytest

from notifier.gateway.auth import Caller, signing_secrets
from notifier.gateway.problems import Refusal
from notifier.settings import SettingsError


def test_a_shops_secrets_are_read_from_its_own_variable_newest_first() -> None:
    environ = {"NOTIFIER_SHOP_QAMAR_BOOKS_SIGNING_SECRET": "whsec_bmV3, whsec_b2xk,", "OTHER": "x"}

    assert signing_secrets(["qamar-books", "kiln"], environ) == {
        "qamar-books": ("whsec_bmV3", "whsec_b2xk"),
        "kiln": (),
    }


def test_two_shops_that_would_share_a_variable_are_refused_once_it_is_set() -> None:
    assert signing_secrets(["a-b", "a_b"], {}) == {"a_b": ()}
    with pytest.raises(SettingsError, match="NOTIFIER_SHOP_A_B_SIGNING_SECRET would count for both a-b and a_b"):
        signing_secrets(["a-b", "a_b"], {"NOTIFIER_SHOP_A_B_SIGNING_SECRET": "whsec_eA=="})


@pytest.mark.parametrize(("scopes", "may"), [({"events:read"}, True), ({"admin"}, True), ({"events:write"}, False)])
def test_a_caller_may_what_its_scopes_say(scopes: set[str], may: bool) -> None:
    caller = Caller("k", "nile", frozenset(scopes), 1)

    if may:
        assert caller.need("events:read") is caller
    else:
        with pytest.raises(Refusal) as caught:
            caller.need("events:read")
        assert (caught.value.status, caught.value.reason) == (403, "scope")


def test_admin_is_the_master_of_one_shop_only() -> None:
    caller = Caller("k", "nile", frozenset({"admin"}), 1)

    assert caller.need_shop("nile") is caller
    with pytest.raises(Refusal):
        caller.need_shop("tigris")
