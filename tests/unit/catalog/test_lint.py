from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.catalog.builders import GOOD, faults_of


def test_a_good_template_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD) == []


def _button(**keys: str) -> str:
    (first, *rest) = (f"{key}: {value}" for key, value in keys.items())
    return "".join([f"      - {first}\n", *(f"        {line}\n" for line in rest)])


URL = _button(type="url", text="Track", url="https://track.example/t/{{number}}")
REPLY = _button(type="quick_reply", text="Stop updates", payload="STOP_UPDATES:{{number}}")

TOO_MANY = "body: To {{name}} now {{number}} and {{total}} end."
BODY = "body: Hi {{name}}, your order {{number}} for {{total}} has left our house."

# label, what is written instead of what, the line, the problem, the remedy
BAD: list[tuple[str, tuple[str, str], int, str, str]] = [
    (
        "a name that Meta refuses",
        ("name: parcel", "name: Parcel!"),
        1,
        "Meta takes only a-z, 0-9 and _ in a name (512 at most)",
        "write it like order_shipped",
    ),
    (
        "no ttl",
        ("ttl: 6h\n", ""),
        1,
        "ttl is missing: Meta would hold the message for 30 days, and an SMS could never safely follow",
        "add ttl: 30s to 12h",
    ),
    ("ttl too short", ("6h", "29s"), 3, "Meta takes 30 seconds to 12 hours for UTILITY", "write ttl: 30s to 12h"),
    ("ttl too long", ("6h", "13h"), 3, "Meta takes 30 seconds to 12 hours for UTILITY", "write ttl: 30s to 12h"),
    (
        "ttl on marketing",
        ("UTILITY", "MARKETING"),
        3,
        "Meta has no ttl for MARKETING through /messages",
        "leave ttl out: silence about a marketing message has no fallback",
    ),
    (
        "an unknown format",
        ("format: money", "format: monney"),
        15,
        "unknown format monney",
        "did you mean money?",
    ),
    (
        "a format from another world",
        ("format: money", "format: hologram"),
        15,
        "unknown format hologram",
        "the formats are text, first_name, money, number, date, datetime",
    ),
    (
        "an unknown source",
        ("source: customer.name", "source: customer.nmae"),
        6,
        "an order event has no customer.nmae",
        "did you mean customer.name?",
    ),
    (
        "the second of two sources",
        ("[order_number, order_id]", "[order_number, order_id, qqqq]"),
        11,
        "an order event has no qqqq",
        "see the table of sources in docs/templates.md, or use vars.…",
    ),
    (
        "a source that does not fit the format",
        ("source: order.total", "source: order.payment_method"),
        14,
        "format money needs an amount, which order.payment_method is not",
        "use order.total, refund.amount, or vars.…",
    ),
    (
        "no source",
        ("source: order.total", "source: []"),
        14,
        "no source",
        "name a field of the order event, or shop.name",
    ),
    (
        "no default for what may be empty",
        ("    default: as agreed\n", ""),
        13,
        "may be empty and has no default for en",
        "add one: Meta refuses empty parameters",
    ),
    (
        "a default for another locale only",
        ("default: as agreed", "default: {ar: كما اتفقنا}"),
        16,
        "may be empty and has no default for en",
        "add one: Meta refuses empty parameters",
    ),
    (
        "an example for another locale only",
        ("example: Sara", "example: {pt_BR: Ana}"),
        9,
        "no example for en",
        "add one: Meta's reviewers want to see it",
    ),
    (
        "a default in a locale that is not there",
        ("default: as agreed", "default: {en: as agreed, ar: كما اتفقنا}"),
        16,
        "this template has no locale ar",
        "remove it, or add the locale",
    ),
    (
        "an undeclared variable",
        ("header: On its way", 'header: "{{nmae}} is on its way"'),
        20,
        "{{nmae}} is declared nowhere",
        "did you mean {{name}}?",
    ),
    (
        "a variable like nothing declared",
        ("header: On its way", 'header: "{{zzzz}} is on its way"'),
        20,
        "{{zzzz}} is declared nowhere",
        "declare it under parameters:",
    ),
    (
        "a variable that is not closed",
        ("header: On its way", "header: On {{its way"),
        20,
        "a variable is not closed, or not named as Meta wants",
        "write it like {{order_number}}",
    ),
    (
        "a parameter that is only a number",
        ("  total:\n", "  2:\n    source: order_id\n    example: '1'\n  total:\n"),
        13,
        "2 is no name for a parameter",
        "use a-z, 0-9 and _, and say what it is",
    ),
    (
        "a parameter used nowhere",
        ("  total:\n", "  spare:\n    source: order_id\n    example: '1'\n  total:\n"),
        13,
        "parameter spare is used nowhere",
        "write {{spare}} in a text, or remove it",
    ),
    (
        "a locale that nobody knows",
        ("  en:\n", "  xx_YY:\n"),
        19,
        "xx_YY is no locale that Meta and Babel both know",
        "write it like ar, en or pt_BR",
    ),
    (
        "a locale in another spelling",
        ("  en:\n", "  en-GB:\n"),
        19,
        "en-GB is no locale that Meta and Babel both know",
        "write it like ar, en or pt_BR",
    ),
    (
        "a header too long",
        ("header: On its way", "header: " + "o" * 61),
        20,
        "the header has 61 characters, Meta takes 60",
        "shorten it",
    ),
    (
        "a header with two variables",
        ("header: On its way", 'header: "{{name}} and {{number}}"'),
        20,
        "the header has more than 1 variable",
        "move them to the body",
    ),
    (
        "a header of two lines",
        ("header: On its way", 'header: "On its\\nway"'),
        20,
        "the header is more than one line",
        "write it on one line",
    ),
    (
        "a footer too long",
        ("footer: Reply STOP to stop.", "footer: " + "o" * 61),
        22,
        "the footer has 61 characters, Meta takes 60",
        "shorten it",
    ),
    (
        "a footer with a variable",
        ("footer: Reply STOP to stop.", 'footer: "From {{name}}"'),
        22,
        "the footer takes no variables",
        "move them to the body",
    ),
    (
        "a body too long",
        (BODY, BODY + " More." * 160),
        21,
        "the body has 1028 characters, Meta takes 1024",
        "shorten it",
    ),
    (
        "a variable first",
        (BODY, "body: '{{name}}, your order {{number}} for {{total}} has left our house.'"),
        21,
        "a variable comes first in the body, which Meta refuses",
        "begin with a word",
    ),
    (
        "only a sign before the variable",
        (BODY, "body: '👋 {{name}}, your order {{number}} for {{total}} has left our house.'"),
        21,
        "a variable comes first in the body, which Meta refuses",
        "begin with a word",
    ),
    (
        "a variable last, but for a full stop",
        (BODY, "body: 'Hi {{name}}, your order {{number}} has left our house for {{total}}.'"),
        21,
        "a variable comes last in the body, which Meta refuses",
        "end with a word",
    ),
    (
        "two variables side by side",
        (BODY, "body: 'Hi {{name}}, your order {{number}} {{total}} has left our house.'"),
        21,
        "two variables stand side by side, which Meta refuses",
        "put a word between them",
    ),
    (
        "more variables than words can carry",
        (BODY, TOO_MANY),
        21,
        "3 variables in 4 words of fixed text, which Meta refuses",
        "say more, or fill in less",
    ),
    ("eleven buttons", (REPLY, REPLY * 10), 23, "11 buttons, Meta takes 10", "remove some"),
    ("three links", (URL, URL * 3), 23, "3 url buttons, Meta takes 2", "remove some"),
    (
        "quick replies parted by a link",
        (URL, REPLY + URL),
        23,
        "the quick replies are parted by another button",
        "put them one after the other",
    ),
    (
        "a label too long",
        ("text: Track", "text: " + "o" * 26),
        25,
        "the label has 26 characters, Meta takes 25",
        "shorten it",
    ),
    (
        "a label with a variable",
        ("text: Track", 'text: "Track {{number}}"'),
        25,
        "a label takes no variables and no line breaks",
        "write a few plain words",
    ),
    (
        "a url button without url",
        ("        url: https://track.example/t/{{number}}\n", ""),
        24,
        "a url button needs url",
        "add url:",
    ),
    (
        "a payload on a url button",
        ("text: Track\n", "text: Track\n        payload: X\n"),
        26,
        "a url button has no payload",
        "remove it, or change the type",
    ),
    (
        "a plain http address",
        ("https://track", "http://track"),
        26,
        "the URL does not begin with https://",
        "write the whole address of a page of yours",
    ),
    (
        "a URL too long",
        ("/t/{{number}}", "/" + "t" * 1970 + "/{{number}}"),
        26,
        "the URL has 2003 characters, Meta takes 2000",
        "shorten it",
    ),
    (
        "a variable in the middle of a URL",
        ("/t/{{number}}", "/{{number}}/t"),
        26,
        "a URL takes one variable, at its very end",
        "write it like https://track.example/{{order_number}}",
    ),
    (
        "two variables in a URL",
        ("/t/{{number}}", "/{{name}}/{{number}}"),
        26,
        "a URL takes one variable, at its very end",
        "write it like https://track.example/{{order_number}}",
    ),
    (
        "a host to be filled in",
        ("https://track.example/t/{{number}}", "https://track.example{{number}}"),
        26,
        "the variable stands where the host ends",
        "put a slash before it: the host is approved, not filled in",
    ),
    (
        "an SMS of four segments, for one letter",
        ('sms: "Order', f'sms: "ç{"a" * 160} Order'),
        30,
        "the SMS has 4 segments (ucs2, 212 units), 3 allowed",
        "shorten it, or raise sms_max_segments",
    ),
]


@pytest.mark.parametrize(("label", "edit", "line", "problem", "remedy"), BAD, ids=[row[0] for row in BAD])
def test_a_fault_is_told_with_file_line_and_remedy(
    tmp_path: Path, label: str, edit: tuple[str, str], line: int, problem: str, remedy: str
) -> None:
    old, new = edit
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    name = text.partition("\n")[0].removeprefix("name: ")
    faults = faults_of(tmp_path, text, name)
    assert f"{name}.yaml:{line}: {problem} - {remedy}" in faults
    assert all(fault.startswith(f"{name}.yaml:{line}: ") for fault in faults)  # and no alarm elsewhere


def test_every_fault_of_a_file_is_told_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    text = GOOD.replace("6h", "13h").replace("text: Track", "text: " + "o" * 26)
    text = text.replace("    footer:", "    foter: x\n    footer:")
    assert faults_of(tmp_path, text) == [
        "parcel.yaml:3: Meta takes 30 seconds to 12 hours for UTILITY - write ttl: 30s to 12h",
        "parcel.yaml:22: unknown key foter - did you mean footer?",
        "parcel.yaml:26: the label has 26 characters, Meta takes 25 - shorten it",
    ]
