"""API keys in the ledger: what is kept, who is alive, and how one ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from notifier.keys import KeyRefused, MadeKey, create_key, digest_of, revoke_key, rotate_key
from notifier.ledger import Ledger
from notifier.ledger.keys import find_key, keys_of, live_keys
from notifier.ledger.schema import api_key
from tests.fixtures.ledger import HOUR, NOW


def made(ledger: Ledger, shop: str = "nile", scopes: tuple[str, ...] = ("events:write",)) -> MadeKey:
    with ledger.begin() as conn:
        return create_key(conn, shop, "backend", scopes, 1000, NOW, "amira")


def test_a_key_is_kept_as_its_digest_and_comes_back_whole(ledger: Ledger) -> None:
    key = made(ledger, scopes=("consents:write", "events:write"))

    with ledger.read() as conn:
        assert find_key(conn, key.row.id) == key.row
        row = conn.execute(sa.select(api_key)).mappings().one()
    assert (row["digest"], row["scopes"]) == (digest_of(key.secret), "events:write,consents:write")
    assert key.secret not in str(dict(row))
    assert key.secret not in repr(key)
    assert len(key.secret) == len("ntf_") + 43  # 256 bits in base64


def test_two_keys_are_never_alike(ledger: Ledger) -> None:
    assert made(ledger).secret != made(ledger).secret


@pytest.mark.parametrize("scopes", [(), ("events:write", "events:delete")])
def test_scopes_that_do_not_exist_are_refused_and_nothing_is_kept(ledger: Ledger, scopes: tuple[str, ...]) -> None:
    with pytest.raises(KeyRefused, match="there are events:write, events:read, consents:write, admin"):
        made(ledger, scopes=scopes)

    with ledger.read() as conn:
        assert keys_of(conn, None) == []


def test_a_key_without_a_name_is_refused(ledger: Ledger) -> None:
    with pytest.raises(KeyRefused, match="name"), ledger.begin() as conn:
        create_key(conn, "nile", "  ", ("admin",), 1, NOW, "amira")


def test_a_shop_has_several_keys_and_sees_only_its_own(ledger: Ledger) -> None:
    first, second, other = made(ledger), made(ledger), made(ledger, "tigris")

    with ledger.read() as conn:
        assert {one.id for one in keys_of(conn, "nile")} == {first.row.id, second.row.id}
        assert [one.id for one in keys_of(conn, "tigris")] == [other.row.id]
        assert len(keys_of(conn, None)) == 3


def test_a_revoked_key_is_dead_at_once_and_stays_on_record(ledger: Ledger) -> None:
    key, kept = made(ledger), made(ledger)

    with ledger.begin() as conn:
        ended = revoke_key(conn, key.row.id, NOW, "amira")
        alive = live_keys(conn, NOW)

    assert alive == [kept.row]
    assert ended == replace(key.row, ends_at=NOW, ended_by="amira")
    with ledger.read() as conn:
        assert find_key(conn, key.row.id) == ended


def test_a_rotated_key_goes_on_until_its_grace_ends(ledger: Ledger) -> None:
    old = made(ledger, scopes=("events:read", "admin"))

    with ledger.begin() as conn:
        new = rotate_key(conn, old.row.id, HOUR, NOW, "amira")
        at_first = {one.id for one in live_keys(conn, NOW + HOUR - timedelta(microseconds=1))}
        afterwards = {one.id for one in live_keys(conn, NOW + HOUR)}

    assert at_first == {old.row.id, new.row.id}
    assert afterwards == {new.row.id}
    assert (new.row.shop, new.row.scopes, new.row.rate) == (old.row.shop, old.row.scopes, old.row.rate)


def test_an_end_is_never_put_off(ledger: Ledger) -> None:
    key = made(ledger)
    with ledger.begin() as conn:
        rotate_key(conn, key.row.id, HOUR, NOW, "amira")
        rotate_key(conn, key.row.id, 2 * HOUR, NOW, "omar")
        found = find_key(conn, key.row.id)

    assert found == replace(key.row, ends_at=NOW + HOUR, ended_by="amira")


def test_what_has_ended_or_never_was_is_refused(ledger: Ledger) -> None:
    key = made(ledger)
    with ledger.begin() as conn:
        revoke_key(conn, key.row.id, NOW, "amira")

    with pytest.raises(KeyRefused, match="has ended already, by amira"), ledger.begin() as conn:
        rotate_key(conn, key.row.id, HOUR, NOW, "amira")
    with pytest.raises(KeyRefused, match="no key has the id nobody"), ledger.begin() as conn:
        revoke_key(conn, "nobody", NOW, "amira")
    with ledger.read() as conn:
        assert len(keys_of(conn, None)) == 1
