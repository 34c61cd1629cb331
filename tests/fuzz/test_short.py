"""A short form of `python -m tests.fuzz`, and the proof that its judge can see."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from notifier.channels.contract import ReceiptUpdate, Update
from tests.fuzz.campaign import campaign, guided
from tests.fuzz.judges import PARSERS, URL, Parser, judge
from tests.fuzz.mutate import mutated

INPUTS = 5_000
PARSER = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)


@PARSER
def test_no_input_crashes_a_parser_or_is_taken_for_what_it_is_not(parser: Parser) -> None:
    result = campaign(parser, INPUTS, seed=7)

    assert (result.inputs, dict(result.faults)) == (INPUTS, {})
    assert result.receipts > INPUTS / 10  # mutation that breaks everything would try nothing


@PARSER
def test_every_sample_is_read_without_a_fault(parser: Parser) -> None:
    assert [judge(parser, body, Random(0)).fault for body in parser.samples] == [None] * len(parser.samples)
    assert sum(judge(parser, body, Random(0)).receipts for body in parser.samples) >= 4


@PARSER
def test_a_seed_repeats_its_inputs(parser: Parser) -> None:
    one, other = Random(3), Random(3)
    assert [mutated(one, parser.samples) for _ in range(50)] == [mutated(other, parser.samples) for _ in range(50)]


def fault_of(parser: Parser) -> set[str]:
    return set(campaign(parser, 300, seed=5).faults)


@PARSER
def test_the_judge_sees_a_crash(parser: Parser) -> None:
    def read(body: bytes, query: Mapping[str, str]) -> Sequence[Update]:
        return parser.read(body, query) if body.isascii() else [][1]

    assert "crash: IndexError" in fault_of(replace(parser, read=read))


@PARSER
def test_the_judge_sees_a_receipt_that_was_made_up(parser: Parser) -> None:
    made_up = ReceiptUpdate("delivered", datetime(2026, 1, 1, tzinfo=UTC), "another", None)

    assert "wrong accept: a receipt that the body does not hold" in fault_of(
        replace(parser, read=lambda body, query: [*parser.read(body, query), made_up])
    )


@PARSER
def test_the_judge_sees_a_signature_that_is_not_looked_at(parser: Parser) -> None:
    assert fault_of(replace(parser, check=lambda *_: True)) == {"wrong accept: no signature, or a stranger's"}


@PARSER
def test_the_judge_sees_a_signature_whose_end_is_not_looked_at(parser: Parser) -> None:
    def check(body: bytes, headers: Mapping[str, str], url: str, secrets: Sequence[str]) -> bool:
        return any(headers.get(parser.header, "")[:20] == parser.signature(body, one)[:20] for one in secrets)

    assert fault_of(replace(parser, check=check)) == {"wrong accept: a damaged signature"}


@PARSER
def test_the_judge_sees_a_check_of_other_bytes_than_those_that_came(parser: Parser) -> None:
    def check(body: bytes, headers: Mapping[str, str], url: str, secrets: Sequence[str]) -> bool:
        bodies = (body, *parser.samples)
        return any(headers.get(parser.header) == parser.signature(one, key) for one in bodies for key in secrets)

    assert "wrong accept: the signature of another body" in fault_of(replace(parser, check=check))


def test_a_twilio_signature_for_one_address_is_none_for_another() -> None:
    parser = PARSERS["twilio"]
    body = parser.samples[0]
    headers = {parser.header: parser.signature(body, "s")}

    assert parser.check(body, headers, URL, ["s"])
    for url in (URL + "1", URL.replace("https", "http"), URL.replace("notify", "other"), URL + "&bodySHA256=0"):
        assert not parser.check(body, headers, url, ["s"])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed: pip install atheris")
@PARSER
def test_a_guided_campaign_finds_nothing_either(parser: Parser) -> None:
    assert guided(parser.name, 2_000, seed=1) == 0
