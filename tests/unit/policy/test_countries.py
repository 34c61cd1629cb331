from __future__ import annotations

from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from notifier.policy.countries import ALIASES, BY_AREA_CODE, ZONES


def test_every_country_that_has_phone_numbers_has_a_zone() -> None:
    assert phonenumbers.SUPPORTED_REGIONS - ZONES.keys() == set()


@pytest.mark.parametrize("zone", sorted(set(ZONES.values())))
def test_every_zone_exists(zone: str) -> None:
    assert ZoneInfo(zone).key == zone


def test_every_zone_that_an_area_code_may_give_exists() -> None:
    codes = {str(phonenumbers.country_code_for_region(country)) for country in BY_AREA_CODE}
    given = {zone for prefix, zones in TIMEZONE_DATA.items() if prefix.startswith(tuple(codes)) for zone in zones}
    assert "America/Manaus" in given
    assert [zone for zone in sorted(given) if ZoneInfo(zone).key != zone] == []


def test_aliases_are_no_codes_of_their_own_and_lead_to_one() -> None:
    assert ALIASES.keys() & ZONES.keys() == set()
    assert set(ALIASES.values()) <= ZONES.keys()
