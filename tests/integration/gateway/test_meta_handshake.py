"""GET /receipts/meta: the handshake when the webhook is registered."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from redis import Redis

from tests.fixtures.asgi import call
from tests.integration.gateway.conftest import Build


@pytest.mark.parametrize("word", ["nile-word", "kiln-word"])
def test_the_challenge_is_given_back_as_plain_text_to_who_knows_a_senders_word(gateway: FastAPI, word: str) -> None:
    query = f"hub.mode=subscribe&hub.challenge=11%3C58&hub.verify_token={word}"

    answer = call(gateway, "GET", "/receipts/meta", query=query)

    assert (answer.status, answer.body) == (200, b"11<58")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("label", "query"),
    [
        ("wrong word", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=nile"),
        ("no word", "hub.mode=subscribe&hub.challenge=1"),
        ("empty word", "hub.mode=subscribe&hub.challenge=1&hub.verify_token="),
        ("an app secret instead", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=new-secret"),
        ("another mode", "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=nile-word"),
        ("no challenge", "hub.mode=subscribe&hub.verify_token=nile-word"),
        ("nothing", ""),
    ],
)
def test_everybody_else_is_answered_403_without_the_challenge(gateway: FastAPI, label: str, query: str) -> None:
    answer = call(gateway, "GET", "/receipts/meta", query=query)

    assert (answer.status, answer.json["type"]) == (403, "urn:notifier:problem:verify-token")


def test_without_a_configured_word_the_empty_one_does_not_count(build: Build, redis_client: Redis) -> None:
    bare = build(redis_client, secrets={})
    query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token="

    assert call(bare, "GET", "/receipts/meta", query=query).status == 403
