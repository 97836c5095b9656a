"""Finding an address in a pasted text."""

from __future__ import annotations

import pytest

from reachbook.domain.address import parsing, pasted
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.errors import Reason, Refusal

PHONE, EMAIL = ChannelType("phone"), ChannelType("email")


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("call me at (510) 555-3344 after 5!", "US", "15105553344"),
        ("Tel:(510)555-3344", "US", "15105553344"),
        ("mobile +1 510 555 3344, please", None, "15105553344"),
        ("+1 510 555 3344 or again 1-510-555-3344 (home)", "US", "15105553344"),
        ("(510) 555-3344", "US", "15105553344"),
    ],
)
def test_a_number_is_found_in_the_words_around_it(
    text: str, region: str | None, number: str
) -> None:
    assert pasted.find(PHONE, text, region).channel_id == number


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Alice <alice@example.com>", "alice@example.com"),
        ('"bob@work" <alice@example.com>', "alice@example.com"),
        ("write to alice@example.com, please", "alice@example.com"),
        ("mail: alice@example.com.", "alice@example.com"),
        ("alice@example.com, Alice@example.com", "alice@example.com"),
    ],
)
def test_an_email_address_is_found_in_the_words_around_it(text: str, address: str) -> None:
    assert pasted.find(EMAIL, text, None).channel_id == address


@pytest.mark.parametrize(
    ("kind", "text", "region", "expected"),
    [
        (PHONE, "a +1 510 555 3344, b +49 30 123456", None, "several numbers, +15105553344, +4930"),
        (PHONE, "call me at (510) 555-3344", None, "the team has no default region"),
        (PHONE, "call me", "US", "it holds 'c'"),
        (PHONE, "15105553344.0", "US", "a spreadsheet changed"),
        (PHONE, "510 555 3344 ext 5", "US", "it has an extension"),
        (EMAIL, "a@example.com and b@example.com", None, "several addresses, a@example.com, b@"),
        (EMAIL, "nobody", None, "not an email address"),
        (EMAIL, "me @ home", None, "not an email address"),
    ],
)
def test_the_error_for_a_text_without_a_single_address_has_the_reason(
    kind: ChannelType, text: str, region: str | None, expected: str
) -> None:
    with pytest.raises(Refusal) as caught:
        pasted.find(kind, text, region)

    assert caught.value.reason in (Reason.BAD_PHONE, Reason.BAD_EMAIL)
    assert expected in caught.value.message


def test_a_pasted_number_with_two_readings_stays_ambiguous() -> None:
    found = pasted.find(PHONE, "reach me at (646) 555-0123", "US")

    assert found == parsing.parse(PHONE, "(646) 555-0123", "US")
    assert found.is_ambiguous
