"""Public keys of platforms: fetched once, asked for again after a rest, and never without bounds."""

from __future__ import annotations

import pytest

from notifier.gateway.public_keys import KEEP, MOST, PLACES, REST, KeysAway, PublicKeys

URL = "https://keys.example/1.pem"


class Platform:
    """What is published where, and how often it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.up = True
        self.keys = PublicKeys(self.get, lambda: self.now)

    def get(self, url: str) -> str:
        self.asked.append(url)
        if not self.up:
            raise KeysAway("ConnectTimeout")
        return f"key of {url}"


def test_a_key_is_fetched_once_a_day() -> None:
    platform = Platform()

    assert platform.keys.known((URL,)) is None
    assert platform.keys.of((URL,)) == platform.keys.of((URL,)) == (f"key of {URL}",)
    assert platform.keys.known((URL,)) == (f"key of {URL}",)
    platform.now = KEEP.total_seconds()
    assert platform.keys.known((URL,)) is None
    platform.keys.of((URL,))
    assert len(platform.asked) == 2


def test_no_addresses_are_no_keys() -> None:
    assert Platform().keys.known(()) == ()


def test_what_failed_is_asked_for_again_after_a_rest() -> None:
    platform = Platform()
    platform.up = False
    for _ in range(3):
        with pytest.raises(KeysAway):
            platform.keys.of((URL,))
    with pytest.raises(KeysAway, match="failed a moment ago"):
        platform.keys.known((URL,))
    assert len(platform.asked) == 1

    platform.up, platform.now = True, REST.total_seconds()
    assert platform.keys.of((URL,)) == (f"key of {URL}",)


def test_whoever_names_new_addresses_all_the_time_makes_us_fetch_some_of_them() -> None:
    platform = Platform()
    for number in range(MOST):
        platform.keys.of((f"{URL}?{number}",))
    with pytest.raises(KeysAway, match="too many"):
        platform.keys.of((f"{URL}?more",))
    assert platform.keys.of((f"{URL}?1",)) == (f"key of {URL}?1",), "what is kept costs nothing"

    platform.now = REST.total_seconds()
    assert platform.keys.of((f"{URL}?more",)) == (f"key of {URL}?more",)


def test_only_so_many_are_kept_the_oldest_go_first() -> None:
    platform = Platform()
    for number in range(PLACES + 1):
        platform.now += REST.total_seconds()
        platform.keys.of((f"{URL}?{number}",))

    assert platform.keys.known((f"{URL}?0",)) is None
    assert platform.keys.known((f"{URL}?1",)) is not None
