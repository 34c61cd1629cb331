"""Standard Webhooks: the algorithm as the specification writes it, and everything that is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.sources.standard_webhooks import TOLERANCE, doubt, sign, signed_headers

NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
BODY = b'{"type":"order.shipped","data":{"order_id":"1042"}}'
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(b"another key of 24 bytes!").decode()

# Written down once, from an implementation outside this project (openssl dgst -sha256 -hmac), so that `sign` is not its
# own judge: echo -n 'msg_1.1793871000.{...}' with the key 00 01 … 1f.
VECTOR = {"webhook-id": "msg_1", "webhook-timestamp": "1793871000"}


def by_hand(message: str, timestamp: str, body: bytes, key: bytes) -> str:
    signed = f"{message}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_the_signature_is_the_one_of_the_specification() -> None:
    assert int(NOW.timestamp()) == 1793871000
    assert sign("msg_1", NOW, BODY, SECRET) == {
        **VECTOR,
        "webhook-signature": "v1,Iq7PF2SWzHXdAZr9+Z/EXVh7gbohWii3reGcmCqS86w=",
    }
    assert by_hand("msg_1", "1793871000", BODY, KEY) == "Iq7PF2SWzHXdAZr9+Z/EXVh7gbohWii3reGcmCqS86w="


def test_the_published_vector_of_svix_and_the_specification_is_believed_and_made() -> None:
    secret, body, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}', 1614265330
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(at, UTC), body, secret)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert doubt(body, headers, [secret], datetime.fromtimestamp(at, UTC)) is None


def test_what_is_signed_is_believed_with_or_without_the_prefix_of_the_secret() -> None:
    headers = sign("msg_1", NOW, BODY, SECRET)
    assert doubt(BODY, headers, [SECRET], NOW) is None
    assert doubt(BODY, headers, [SECRET.removeprefix("whsec_")], NOW) is None


def test_svix_names_its_headers_otherwise() -> None:
    headers = {name.replace("webhook", "Svix"): value for name, value in sign("m", NOW, BODY, SECRET).items()}
    assert doubt(BODY, headers, [SECRET], NOW) is None


def test_during_a_rotation_one_good_signature_by_one_secret_is_enough() -> None:
    headers = sign("m", NOW, BODY, SECRET)
    good = headers["webhook-signature"]
    headers["webhook-signature"] = f"v1a,AAAA v1,notbase64% {sign('m', NOW, BODY, OTHER)['webhook-signature']} {good}"
    assert doubt(BODY, headers, ["", "whsec_%", SECRET], NOW) is None


@pytest.mark.parametrize(
    ("label", "body", "change", "secrets", "why"),
    [
        ("another body", BODY + b" ", {}, [SECRET], "wrong"),
        ("another id", BODY, {"webhook-id": "msg_2"}, [SECRET], "wrong"),
        ("another time", BODY, {"webhook-timestamp": "1793871001"}, [SECRET], "wrong"),
        ("another secret", BODY, {}, [OTHER], "wrong"),
        ("no secret", BODY, {}, [], "wrong"),
        ("an empty secret", BODY, {}, ["", "whsec_"], "wrong"),
        ("a secret that is no base64", BODY, {}, ["whsec_%%%", "whsec_ü"], "wrong"),
        ("another version", BODY, {"webhook-signature": "v2,AAAA"}, [SECRET], "wrong"),
        ("no signature", BODY, {"webhook-signature": ""}, [SECRET], "unsigned"),
        ("no time", BODY, {"webhook-timestamp": ""}, [SECRET], "unsigned"),
        ("a time in words", BODY, {"webhook-timestamp": "now"}, [SECRET], "too_old"),
        ("a time of no calendar", BODY, {"webhook-timestamp": "9" * 30}, [SECRET], "too_old"),
        ("a time of 5,000 digits", BODY, {"webhook-timestamp": "9" * 5000}, [SECRET], "too_old"),
    ],
)
def test_what_is_not_believed_says_why(
    label: str, body: bytes, change: dict[str, str], secrets: list[str], why: str
) -> None:
    assert doubt(body, {**sign("msg_1", NOW, BODY, SECRET), **change}, secrets, NOW) == why, label


@pytest.mark.parametrize("side", [1, -1])
def test_the_tolerance_ends_to_the_second_on_both_sides(side: int) -> None:
    headers = sign("m", NOW, BODY, SECRET)
    assert doubt(BODY, headers, [SECRET], NOW + side * TOLERANCE) is None
    assert doubt(BODY, headers, [SECRET], NOW + side * (TOLERANCE + timedelta(seconds=1))) == "too_old"


def test_headers_of_two_schemes_are_not_mixed() -> None:
    assert signed_headers({"webhook-id": "1", "svix-timestamp": "2", "svix-signature": "3"}) is None


def test_a_secret_that_is_no_base64_signs_nothing() -> None:
    with pytest.raises(ValueError, match="whsec_ and base64"):
        sign("m", NOW, BODY, "whsec_%")


@given(st.text(), st.text(), st.text())
def test_any_headers_are_only_refused(message: str, timestamp: str, signature: str) -> None:
    headers = {"webhook-id": message, "webhook-timestamp": timestamp, "webhook-signature": signature}
    assert doubt(BODY, headers, [SECRET], NOW) in ("unsigned", "too_old", "wrong")
