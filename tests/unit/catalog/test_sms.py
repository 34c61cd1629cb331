from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.catalog.sms import Size, encoding_of, measure, spell, split

GSM = "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡AZÄÖÑÜ§¿azäöñüà^{}\\[]~|€"
OTHER = "çãáş“”–…•\u00a0\u202f\u200e\u200f₹ｏ\u0301\u064bشكرًا😀👩\u200d\n"
any_text = (
    st.text(alphabet=GSM + OTHER, max_size=400)
    | st.text(alphabet=GSM, max_size=500)
    | st.text(alphabet="ab€😀ش", max_size=400)
)


@pytest.mark.parametrize(
    ("label", "text", "size"),
    [
        ("nothing is one segment", "", Size("gsm7", 0, 1)),
        ("a full message", "a" * 160, Size("gsm7", 160, 1)),
        ("one more makes two parts", "a" * 161, Size("gsm7", 161, 2)),
        ("two full parts", "a" * 306, Size("gsm7", 306, 2)),
        ("one more makes three", "a" * 307, Size("gsm7", 307, 3)),
        ("the euro sign costs two", "€" * 80, Size("gsm7", 160, 1)),
        ("and is not parted: 76 fit into 153", "€" * 153, Size("gsm7", 306, 3)),
        ("Arabic, full", "ش" * 70, Size("ucs2", 70, 1)),
        ("Arabic, one more", "ش" * 71, Size("ucs2", 71, 2)),
        ("Arabic, two full parts", "ش" * 134, Size("ucs2", 134, 2)),
        ("Arabic, three", "ش" * 135, Size("ucs2", 135, 3)),
        ("emoji cost two and are not parted: 33 and 3", "😀" * 36, Size("ucs2", 72, 2)),
        ("emoji: 67 units hold 33, so 134 need three parts", "😀" * 67, Size("ucs2", 134, 3)),
        ("one small ç moves all to UCS-2", "a" * 70 + "ç", Size("ucs2", 71, 2)),
        ("the large one is in GSM 03.38", "a" * 70 + "Ç", Size("gsm7", 71, 1)),
    ],
)
def test_a_text_costs_what_the_provider_will_bill(label: str, text: str, size: Size) -> None:
    assert measure(text) == size


def test_a_pair_on_the_border_moves_to_the_next_segment_whole() -> None:
    assert split("a" * 152 + "€" + "b" * 100) == ("a" * 152, "€" + "b" * 100)
    assert split("ش" * 66 + "😀" + "ش" * 10) == ("ش" * 66, "😀" + "ش" * 10)


@given(any_text)
def test_segments_joined_are_the_text_and_each_fits(text: str) -> None:
    size, parts = measure(text), split(text)
    assert "".join(parts) == text
    assert len(parts) == size.segments
    assert sum(measure(part).units for part in parts) == size.units or encoding_of(text) == "ucs2"
    room = 160 if len(parts) == 1 else 153
    if size.encoding == "ucs2":
        room = 70 if len(parts) == 1 else 67
        assert all(len(part.encode("utf-16-le", "surrogatepass")) // 2 <= room for part in parts)
    else:
        assert all(measure(part).units <= room for part in parts)


@given(any_text)
def test_units_are_septets_or_utf16_code_units(text: str) -> None:
    size = measure(text)
    if size.encoding == "ucs2":
        assert size.units == len(text.encode("utf-16-le", "surrogatepass")) // 2
    else:
        assert size.units == len(text) + sum(text.count(wide) for wide in "^{}\\[]~|€\f")


@given(any_text)
def test_spelling_never_costs_more_segments_and_is_done_once(text: str) -> None:
    spelled = spell(text)
    assert spell(spelled) == spelled
    if encoding_of(text) == "gsm7":
        assert spelled == text
    else:
        assert measure(spelled).units <= measure(text).units or encoding_of(spelled) == "gsm7"


@pytest.mark.parametrize(
    ("label", "text", "spelled"),
    [
        ("quotes, dashes, ellipsis", "It’s “here” – at last…", 'It\'s "here" - at last...'),
        ("spaces that do not break", "SAR\u00a01,234.50 at 5:05\u202fPM", "SAR 1,234.50 at 5:05 PM"),
        ("full width", "Ｏｒｄｅｒ　１２", "Order 12"),
        ("the rupee", "Total: ₹1,23,456.00", "Total: Rs.1,23,456.00"),
        ("marks nobody sees", "\u200eA-1\u200f\ufeff", "A-1"),
        ("a letter in two pieces", "cafe\u0301", "café"),
        ("letters of a language stay, and the typography with them", "Não… amanhã – já", "Não… amanhã – já"),
        ("Arabic stays", "طلبك “1001” – شكرًا…", "طلبك “1001” – شكرًا…"),
    ],
)
def test_typography_is_simplified_where_that_saves_segments_and_no_letter_is_lost(
    label: str, text: str, spelled: str
) -> None:
    assert spell(text) == spelled
