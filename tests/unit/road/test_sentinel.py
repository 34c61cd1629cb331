"""Addresses of sentinels: what is read from them, and what Celery is given."""

from __future__ import annotations

import pytest

from notifier.door import UnreadableAddress, open_road
from notifier.sentinel import Sentinels, for_celery, read_sentinels


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sentinel://one", Sentinels((("one", 26379),), "mymaster", 0)),
        ("sentinel://one:26380/3?master=shop", Sentinels((("one", 26380),), "shop", 3)),
        (
            "sentinel://me:s%2Fecret@one:1;sentinel://two:2;sentinel://three:3/0?master=shop",
            Sentinels((("one", 1), ("two", 2), ("three", 3)), "shop", 0, "me", "s/ecret"),
        ),
        ("sentinel://:secret@one", Sentinels((("one", 26379),), "mymaster", 0, None, "secret")),
    ],
)
def test_an_address_names_sentinels_the_primary_and_the_database(url: str, expected: Sentinels) -> None:
    assert read_sentinels(url) == expected


@pytest.mark.parametrize(
    "url", ["sentinel://", "sentinel://one;redis://two", "sentinel://one:port", "sentinel://one/x"]
)
def test_what_is_no_such_address_is_refused_with_the_form_and_without_the_value(url: str) -> None:
    with pytest.raises(UnreadableAddress, match=r"sentinel://host:26379;sentinel://host2:26379/0\?master=NAME"):
        open_road(url)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(read_sentinels("sentinel://:secret@one"))


def test_celery_gets_the_addresses_in_its_own_form_and_the_name_beside_them() -> None:
    assert for_celery("sentinel://one:1;sentinel://two:2/0?master=shop") == (
        "sentinel://one:1;sentinel://two:2/0",
        {"master_name": "shop"},
    )
