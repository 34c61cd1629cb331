"""POST /receipts/twilio: forms that Twilio signed for our public address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI

from tests.fixtures.asgi import Answer, call
from tests.integration.gateway.conftest import ACCOUNT, PUBLIC_URL

Kept = Callable[[], list[dict[bytes, bytes]]]
FORM = {"AccountSid": ACCOUNT, "MessageSid": "SM1", "MessageStatus": "delivered", "To": "+201001234567", "Body": "تم"}


def signature(form: Mapping[str, str], token: str, url: str = f"{PUBLIC_URL}/receipts/twilio") -> str:
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def post(app: FastAPI, form: Mapping[str, str], sign: str | None, query: str = "") -> Answer:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if sign is not None:
        headers["x-twilio-signature"] = sign
    return call(app, "POST", "/receipts/twilio", urlencode(form).encode(), headers, query)


@pytest.mark.parametrize("token", ["nile-token", "nile-token-before"])
def test_a_form_signed_by_the_account_that_it_names_is_kept_and_answered_204(
    gateway: FastAPI, kept: Kept, token: str
) -> None:
    answer = post(gateway, FORM, signature(FORM, token))

    assert (answer.status, answer.body) == (204, b"")
    assert kept() == [{b"provider": b"twilio", b"body": urlencode(FORM).encode(), b"query": b""}]


def test_the_query_is_part_of_what_is_signed_and_is_kept_for_the_worker(gateway: FastAPI, kept: Kept) -> None:
    signed = signature(FORM, "nile-token", f"{PUBLIC_URL}/receipts/twilio?ref=d%201")

    assert post(gateway, FORM, signed, "ref=d%201").status == 204
    assert post(gateway, FORM, signed, "ref=d%202").status == 401
    assert [fields[b"query"] for fields in kept()] == [b"ref=d%201"]


@pytest.mark.parametrize(
    ("label", "form", "sign"),
    [
        ("no header", FORM, None),
        ("a token of another account", FORM, signature(FORM, "kiln-token")),
        ("a token of another provider", FORM, signature(FORM, "new-secret")),
        ("the empty token", FORM, signature(FORM, "")),
        ("another form's signature", FORM, signature({**FORM, "MessageStatus": "failed"}, "nile-token")),
        ("another address", FORM, signature(FORM, "nile-token", "https://elsewhere.example/receipts/twilio")),
        (
            "an account that is not ours",
            {**FORM, "AccountSid": "AC9"},
            signature({**FORM, "AccountSid": "AC9"}, "nile-token"),
        ),
        ("no account", {"MessageSid": "SM1"}, signature({"MessageSid": "SM1"}, "nile-token")),
    ],
)
def test_a_wrong_signature_is_answered_401_and_nothing_is_kept(
    gateway: FastAPI, kept: Kept, label: str, form: dict[str, str], sign: str | None
) -> None:
    answer = post(gateway, form, sign)

    assert (answer.status, answer.json["type"]) == (401, "urn:notifier:problem:signature")
    assert kept() == []


def test_a_form_above_64_kb_is_refused(gateway: FastAPI, kept: Kept) -> None:
    form = {**FORM, "Body": "x" * 65536}

    assert post(gateway, form, signature(form, "nile-token")).status == 413
    assert kept() == []


def test_bytes_that_are_no_form_are_a_401(gateway: FastAPI, kept: Kept) -> None:
    answer = call(gateway, "POST", "/receipts/twilio", b"\xff\x00&&=;", {"x-twilio-signature": "x"})

    assert answer.status == 401
    assert kept() == []


def test_without_redis_twilio_gets_a_503(gateway_without_road: FastAPI) -> None:
    assert post(gateway_without_road, FORM, signature(FORM, "nile-token")).status == 503
