from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from notifier.catalog import creation_payload, load_catalog
from notifier.catalog.render import render_template
from tests.unit.catalog.builders import GOOD, SHIPPED, facts, parcel


def test_a_template_becomes_the_body_that_meta_wants(tmp_path: Path) -> None:
    template = parcel(tmp_path, GOOD.replace("header: On its way", 'header: "Order {{number}}"'))
    assert creation_payload(template, "en") == {
        "name": "parcel",
        "language": "en",
        "category": "UTILITY",
        "parameter_format": "named",
        "message_send_ttl_seconds": 21600,
        "components": [
            {
                "type": "HEADER",
                "format": "TEXT",
                "text": "Order {{number}}",
                "example": {"header_text_named_params": [{"param_name": "number", "example": "10482"}]},
            },
            {
                "type": "BODY",
                "text": "Hi {{name}}, your order {{number}} for {{total}} has left our house.",
                "example": {
                    "body_text_named_params": [
                        {"param_name": "name", "example": "Sara"},
                        {"param_name": "number", "example": "10482"},
                        {"param_name": "total", "example": "SAR 249.00"},
                    ]
                },
            },
            {"type": "FOOTER", "text": "Reply STOP to stop."},
            {
                "type": "BUTTONS",
                "buttons": [
                    {"type": "URL", "text": "Track", "url": "https://track.example/t/{{1}}", "example": ["10482"]},
                    {"type": "QUICK_REPLY", "text": "Stop updates"},
                ],
            },
        ],
    }


def test_what_a_template_lacks_is_left_out(tmp_path: Path) -> None:
    text = GOOD.replace("    header: On its way\n", "").replace("    footer: Reply STOP to stop.\n", "")
    text = text.replace("t/{{number}}", "help").replace("ttl: 6h\n", "").replace("UTILITY", "MARKETING")
    payload = creation_payload(parcel(tmp_path, text), "en")
    assert "message_send_ttl_seconds" not in payload
    assert [part["type"] for part in payload["components"]] == ["BODY", "BUTTONS"]
    assert payload["components"][1]["buttons"][0] == {
        "type": "URL",
        "text": "Track",
        "url": "https://track.example/help",
    }


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*.yaml"))])
def test_what_is_sent_fits_what_was_approved(name: str) -> None:
    template = load_catalog(SHIPPED).get(name)
    for locale in template.locales:
        payload = json.loads(json.dumps(creation_payload(template, locale)))
        components = {part["type"]: part for part in payload["components"]}
        message = render_template(template, locale, facts())
        assert [key for key, _ in message.body] == list(
            dict.fromkeys(re.findall(r"\{\{(\w+)\}\}", components["BODY"]["text"]))
        )
        approved = components["BUTTONS"]["buttons"]
        for button in message.buttons:
            assert approved[button.index]["type"] == button.kind.upper()
            assert button.kind != "url" or approved[button.index]["url"].endswith("{{1}}")
