"""Every adapter keeps the contract, and every adapter has its page and its tests."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels import ADAPTERS, adapter, registry
from notifier.channels.contract import Accepted, Capabilities, OutcomeClass, ReceiptUpdate, Refused
from notifier.events import NotifierError
from tests.unit.channels.conformance import SUBJECTS, URL, Subject

ROOT = Path(__file__).parents[3]
# Beside the adapters: the contract, the shapes they share, and the halves that an adapter was split into.
NO_ADAPTERS = {
    "__init__",
    "contract",
    "keywords",
    "outcomes",
    "reading",
    "meta_codes",
    "meta_updates",
    "twilio_codes",
    "twilio_status",
}

every = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
# The words that the readers look for, so that hypothesis gets further than the first `get`.
_KEYS = (
    "entry changes field value messages statuses errors status id timestamp code error error_data details sid message "
    "failed delivered from text body button payload user_preferences wa_id stop event PAUSED error_code error_subcode "
    "message_template_status_update message_template_name message_template_language new_category metadata"
)
WORDS = st.sampled_from(_KEYS.split())
SHAPED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=40,
)


def dumped(value: object) -> bytes:
    return orjson.dumps(value, default=str) if _fits(value) else b"{}"


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):
        return False
    return True


BODIES = st.binary() | JSON.map(dumped) | SHAPED.map(dumped)


def test_the_suite_runs_over_the_whole_registry() -> None:
    assert {subject.name: subject.module for subject in SUBJECTS} == ADAPTERS


def test_registry_files_pages_and_tests_are_the_same_set() -> None:
    files = {path.stem for path in (ROOT / "notifier" / "channels").glob("*.py")} - NO_ADAPTERS
    pages = {path.stem for path in (ROOT / "docs" / "providers").glob("*.md")}
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert files == set(ADAPTERS)
    assert pages == set(ADAPTERS)
    assert set(ADAPTERS) <= tests


def test_an_adapter_is_found_by_its_name() -> None:
    assert adapter("meta") is ADAPTERS["meta"]


def test_an_unknown_provider_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotifierError, match=r"no provider is called carrier-pigeon; there are meta, twilio"):
        adapter("carrier-pigeon")


def test_a_name_with_two_owners_is_refused() -> None:
    with pytest.raises(NotifierError, match="two adapters are called meta"):
        registry((("meta", ADAPTERS["meta"]), ("meta", ADAPTERS["twilio"])))


@every
def test_it_declares_what_it_can(subject: Subject) -> None:
    assert isinstance(subject.module.CAPABILITIES, Capabilities)


@every
def test_its_secrets_and_the_recipient_show_in_no_repr(subject: Subject) -> None:
    request = subject.module.build(subject.outgoing, subject.sender)
    shown = repr((subject.sender, subject.outgoing, request))
    hidden = [secret for secrets in subject.sender.secrets.values() for secret in secrets] + [subject.outgoing.to]
    assert [value for value in hidden if value in shown] == []


@every
def test_its_request_goes_to_the_senders_host_with_the_newest_secret(subject: Subject) -> None:
    request = subject.module.build(subject.outgoing, subject.sender)
    assert request.method == "POST"
    assert request.url.startswith(subject.sender.base_url + "/")
    assert request.body
    assert all(header.isascii() and header.isprintable() for header in request.headers)


@every
def test_a_message_of_the_other_channel_is_refused(subject: Subject) -> None:
    other = next(one for one in SUBJECTS if one.name != subject.name)
    with pytest.raises(NotifierError, match=subject.sender.name):
        subject.module.build(other.outgoing, subject.sender)


@every
def test_its_acceptance_is_read(subject: Subject) -> None:
    assert isinstance(subject.module.read_answer(200, subject.accepted), Accepted)


@every
def test_its_webhook_is_read(subject: Subject) -> None:
    [update] = subject.module.read_updates(subject.webhook, {"ref": "d_01HZX"})
    assert isinstance(update, ReceiptUpdate)
    assert (update.status, update.ref) == ("delivered", "d_01HZX")


@every
@given(status=st.integers(100, 599), body=BODIES)
def test_no_answer_makes_it_raise(subject: Subject, status: int, body: bytes) -> None:
    assert isinstance(subject.module.read_answer(status, body), Accepted | Refused)


@every
@given(body=BODIES, query=st.dictionaries(st.sampled_from(["ref", "other"]), st.text(), max_size=2))
def test_no_webhook_makes_it_raise(subject: Subject, body: bytes, query: dict[str, str]) -> None:
    for update in subject.module.read_updates(body, query):
        assert update.at.tzinfo is not None
        if isinstance(update, ReceiptUpdate):
            assert update.provider_id or update.ref
            assert (update.outcome is None) == (update.code is None) == (update.status != "failed")


@every
@given(body=BODIES, url=st.text() | st.just("https://[::1"), given=st.text())
def test_no_signature_makes_it_raise(subject: Subject, body: bytes, url: str, given: str) -> None:
    headers = {"x-hub-signature-256": given, "x-twilio-signature": given}
    assert subject.module.check_signature(body, headers, url, ["a secret", ""]) is False


@every
@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 405, 408, 413, 422, 429])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"{}", b"[]", b'{"error":"no"}', b'{"code":"x"}'], ids=repr)
def test_a_definite_refusal_is_never_unknown(subject: Subject, status: int, body: bytes) -> None:
    answer = subject.module.read_answer(status, body)
    assert isinstance(answer, Refused)
    assert answer.outcome is not OutcomeClass.UNKNOWN
    assert answer.code == f"http_{status}"


@every
@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"<html>ok</html>", b"{}", b'{"messages":[]}', b'{"sid":7}', b"\xff"], ids=repr)
def test_a_2xx_that_cannot_be_read_is_unknown(subject: Subject, status: int, body: bytes) -> None:
    answer = subject.module.read_answer(status, body)
    assert (answer.outcome, answer.code) == (OutcomeClass.UNKNOWN, f"http_{status}")


@every
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_that_is_not_the_providers_own_is_unknown(subject: Subject, status: int) -> None:
    answer = subject.module.read_answer(status, b"<html><h1>Bad Gateway</h1></html>")
    assert (answer.outcome, answer.code) == (OutcomeClass.UNKNOWN, f"http_{status}")


@every
def test_every_row_of_its_table_is_used_for_the_answer(subject: Subject) -> None:
    for row in subject.codes.rows:
        for code in {row.first, row.last or row.first}:
            answer = subject.module.read_answer(400, subject.refusal(code, row.subcode))
            assert (answer.outcome, answer.code, answer.retry_after) == (row.answer, str(code), row.wait), row.name


@every
def test_a_code_that_nobody_listed_falls_to_the_http_status_and_keeps_its_number(subject: Subject) -> None:
    expected = {400: OutcomeClass.DEAD, 401: OutcomeClass.SENDER_STOP, 429: OutcomeClass.THROTTLE_SENDER}
    for status, outcome in expected.items():
        answer = subject.module.read_answer(status, subject.refusal(987654))
        assert (answer.outcome, answer.code) == (outcome, "987654")


@every
def test_a_true_signature_is_accepted_under_the_new_and_the_old_secret(subject: Subject) -> None:
    headers = subject.sign(subject.webhook, "old")
    assert subject.module.check_signature(subject.webhook, headers, URL, ["old"]) is True
    assert subject.module.check_signature(subject.webhook, headers, URL, ["new", "old"]) is True


@every
def test_the_signatures_header_has_any_case(subject: Subject) -> None:
    signed = subject.sign(subject.webhook, "secret")
    for headers in ({k.lower(): v for k, v in signed.items()}, {k.upper(): v for k, v in signed.items()}):
        assert subject.module.check_signature(subject.webhook, headers, URL, ["secret"]) is True


@every
def test_a_false_signature_is_refused(subject: Subject) -> None:
    check, body, signed = subject.module.check_signature, subject.webhook, subject.sign(subject.webhook, "secret")
    assert check(body.replace(b"delivered", b"delivereD"), signed, URL, ["secret"]) is False  # tampered
    assert check(body, signed, URL, ["another"]) is False
    assert check(body, signed, URL, []) is False
    assert check(body, {}, URL, ["secret"]) is False  # none at all


@every
def test_an_empty_secret_opens_nothing(subject: Subject) -> None:
    assert subject.module.check_signature(subject.webhook, subject.sign(subject.webhook, ""), URL, ["", ""]) is False


@every
def test_its_page_prints_its_table(subject: Subject) -> None:
    page = (ROOT / "docs" / "providers" / f"{subject.name}.md").read_text(encoding="utf-8")
    printed = [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    expected = [f"| {' | '.join(row)} |" for row in subject.module.outcome_rows()]
    assert printed == expected, "the table in the page is not the one in the code; expected:\n" + "\n".join(expected)
