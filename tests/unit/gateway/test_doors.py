"""Whose secrets count for which request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from notifier.gateway.doors import open_doors, verify_tokens
from notifier.settings import Settings, load_settings

Secrets = dict[str, dict[str, tuple[str, ...]]]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "none.toml").touch()
    monkeypatch.setenv("NOTIFIER_CONFIG", str(tmp_path / "none.toml"))

    def sender(provider: str, channel: str, account: str = "") -> dict[str, Any]:
        base = {"provider": provider, "channel": channel, "base_url": "https://p.example", "rate": 1}
        return {**base, "account": {"account_sid": account} if account else {}}

    return load_settings(
        senders={
            "a-wa": sender("meta", "whatsapp"),
            "b-wa": sender("meta", "whatsapp"),
            "a-sms": sender("twilio", "sms", "AC1"),
            "b-sms": sender("twilio", "sms", "AC1"),
            "c-sms": sender("twilio", "sms", "AC2"),
            "d-sms": sender("twilio", "sms"),
        }
    )


SECRETS: Secrets = {
    "a-wa": {"app_secret": ("new", "old"), "verify_token": ("word",), "token": ("t",)},
    "b-wa": {"app_secret": ("new",), "verify_token": ("word", "")},
    "a-sms": {"auth_token": ("one", "")},
    "b-sms": {"auth_token": ("one", "two")},
    "c-sms": {"auth_token": ("three",)},
    "d-sms": {"auth_token": ("four",)},
}


def doors(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    return {door.provider: door for door in open_doors(settings, secrets)}


def test_meta_takes_the_app_secrets_of_all_its_senders_each_once(settings: Settings) -> None:
    assert doors(settings, SECRETS)["meta"].secrets_for(b"anything") == ("new", "old")


@pytest.mark.parametrize(
    ("label", "body", "expected"),
    [
        ("an account with two senders", b"MessageSid=SM1&AccountSid=AC1", ("one", "two")),
        ("an account with one", b"AccountSid=AC2", ("three",)),
        ("named twice: the first counts", b"AccountSid=AC2&AccountSid=AC1", ("three",)),
        ("unknown account", b"AccountSid=AC3", ()),
        ("no form at all", b'{"AccountSid":"AC1"}', ()),
        ("bytes that are no text", b"\xff\xfe\x00", ()),
    ],
)
def test_twilio_takes_the_tokens_of_the_account_that_the_form_names(
    settings: Settings, label: str, body: bytes, expected: tuple[str, ...]
) -> None:
    assert doors(settings, SECRETS)["twilio"].secrets_for(body) == expected


def test_a_form_without_an_account_does_not_find_the_sender_without_one(settings: Settings) -> None:
    assert doors(settings, SECRETS)["twilio"].secrets_for(b"MessageSid=SM1") == ()


def test_words_for_the_handshake_are_those_of_meta_senders(settings: Settings) -> None:
    assert verify_tokens(settings, SECRETS) == ("word",)


def test_a_secret_is_not_shown(settings: Settings) -> None:
    assert "new" not in repr(open_doors(settings, SECRETS))
