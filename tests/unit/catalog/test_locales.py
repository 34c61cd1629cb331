from __future__ import annotations

from pathlib import Path

import pytest

from notifier.catalog import Template, load_catalog, pick_locale
from notifier.catalog.locales import reading_language
from tests.unit.catalog.builders import GOOD, SHIPPED, parcel


@pytest.fixture(scope="module")
def shipped() -> Template:
    return load_catalog(SHIPPED).get("order_shipped")


@pytest.mark.parametrize(
    ("wanted", "default", "picked"),
    [
        ("ar", "en", "ar"),
        ("ar-EG", "en", "ar"),
        ("ar_SA", "en", "ar"),
        ("AR-eg", "en", "ar"),
        ("en_GB", "ar", "en"),
        ("en-GB", "ar", "en"),
        ("en_US.UTF-8", "ar", "en"),
        ("pt", "en", "pt_BR"),
        ("pt_PT", "en", "pt_BR"),
        ("pt-br", "en", "pt_BR"),
        ("ar-Arab-EG", "en", "ar"),
        ("es-419", "pt_BR", "pt_BR"),
        ("fr", "ar", "ar"),
        ("fr", "ar-SA", "ar"),
        ("fr", "pt", "pt_BR"),
        (None, "en", "en"),
        ("", "en", "en"),
        ("no language at all", "en", "en"),
        ("fr", "de", None),
        (None, "", None),
    ],
)
def test_a_customer_gets_the_nearest_locale(
    shipped: Template, wanted: str | None, default: str, picked: str | None
) -> None:
    assert pick_locale(shipped, wanted, default) == picked


def test_the_exact_locale_goes_before_the_language_and_the_language_before_a_sibling(tmp_path: Path) -> None:
    wording = GOOD[GOOD.index("    header:") :]
    template = parcel(tmp_path, GOOD + "  en_IN:\n" + wording + "  nb:\n" + wording)
    assert pick_locale(template, "en-IN", "en") == "en_IN"
    assert pick_locale(template, "en-GB", "en_IN") == "en"
    assert pick_locale(template, "no", "en") == "nb"


@pytest.mark.parametrize(
    ("locale", "wanted", "reading"),
    [
        ("en", "en-IN", "en_IN"),
        ("en", "en_GB", "en_GB"),
        ("ar", "ar-EG", "ar_EG"),
        ("pt_BR", "pt-PT", "pt_PT"),
        ("pt_BR", "pt", "pt_BR"),
        ("en", "fr-FR", "en"),
        ("en", "en-QX", "en"),
        ("en", "x", "en"),
        ("en", None, "en"),
    ],
)
def test_values_are_spelled_as_in_the_customers_own_country(locale: str, wanted: str | None, reading: str) -> None:
    assert reading_language(locale, wanted) == reading
