"""The addresses that the text of a search may be."""

from __future__ import annotations

import pytest

from reachbook.domain.address import search_text


def addresses(text: str, region: str | None = "US", types: tuple[str, ...] = ()) -> list[str]:
    readings = search_text.read(text, region, types).readings
    return [f"{each.address.channel_type} {each.address.channel_id}" for each in readings]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("+1 (510) 555-3344", "phone 15105553344"),
        ("call me at (510) 555-3344 after 5!", "phone 15105553344"),
        ("15105553344@s.whatsapp.net", "phone 15105553344"),
        ("Alice <alice@example.com>", "email alice@example.com"),
        ("@alice", "whatsapp @alice"),
        ("32665", "sms 32665"),
    ],
)
def test_the_likeliest_reading_is_first(text: str, first: str) -> None:
    assert addresses(text)[0] == first


def test_digits_of_two_numbers_have_two_readings() -> None:
    numbers = [each for each in addresses("(646) 555-0123") if each.startswith("phone")]

    assert numbers == ["phone 6465550123", "phone 16465550123"]


def test_a_text_may_be_an_id_of_each_type_that_the_team_uses() -> None:
    assert "webchat 1789004512" in addresses("1789004512", types=("webchat", "phone"))
    assert "facebook 1789004512" in addresses("1789004512")


def test_the_refusal_explains_why_a_text_is_not_a_number() -> None:
    found = search_text.read("+1 510 555 3344, +1 510 555 3355 and more", "US")

    assert found.refusal is not None
    assert "several numbers" in found.refusal.message
    assert search_text.read("anna", "US").refusal is None
