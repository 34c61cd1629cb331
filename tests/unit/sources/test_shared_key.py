"""A key that travels, or a secret that signs: what opens a door without a platform's signature, and what does not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.sources.shared_key import verify
from notifier.sources.standard_webhooks import sign

NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
KEY, OLD = "k-7c1e9d0b54aa", "k-old"
SIGNING = "whsec_" + base64.b64encode(b"a signing key of 24 bytes").decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": KEY},
        {"x-api-key": f" {OLD} "},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY}"},
        {"authorization": basic("magento", KEY)},
        {"authorization": basic("", KEY)},
    ],
)
def test_the_key_opens_wherever_it_is(headers: dict[str, str]) -> None:
    assert verify(b"{}", headers, [KEY, OLD], NOW)


@pytest.mark.parametrize(
    ("label", "headers", "secrets"),
    [
        ("nothing", {}, [KEY]),
        ("another key", {"x-api-key": KEY + "x"}, [KEY]),
        ("an empty key against an empty secret", {"x-api-key": ""}, [""]),
        ("an empty password", {"authorization": basic("u", "")}, [""]),
        ("no secret at all", {"x-api-key": KEY}, []),
        ("the key as the user", {"authorization": basic(KEY, "")}, [KEY]),
        ("another scheme", {"authorization": f"Digest {KEY}"}, [KEY]),
        ("no base64", {"authorization": "Basic %%%"}, [KEY]),
        ("a signing secret sent as a key", {"x-api-key": SIGNING}, [SIGNING]),
        ("a signing secret sent as a bearer", {"authorization": f"Bearer {SIGNING}"}, [SIGNING]),
    ],
)
def test_nothing_else_does(label: str, headers: dict[str, str], secrets: list[str]) -> None:
    assert not verify(b"{}", headers, secrets, NOW), label


def test_a_signature_opens_for_its_own_body_only() -> None:
    headers = sign("m", NOW, b"{}", SIGNING)
    assert verify(b"{}", headers, [KEY, SIGNING], NOW)
    assert not verify(b"{ }", headers, [KEY, SIGNING], NOW)


@given(st.text(), st.text())
def test_any_headers_are_only_refused(authorization: str, key: str) -> None:
    assert not verify(b"", {"authorization": authorization, "x-api-key": key}, ["a key of sixteen characters"], NOW)
