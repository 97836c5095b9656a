"""Parsing of a typed text into the canonical address and its identity (contract section 3).

Variants of countries and of other spellings are tested in `test_variants`.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reachbook.domain.address import parsing
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.limits import MAX_CHARACTERS
from tests.support import strategies
from tests.support.address_cases import FINDINGS, MORE, Case

PHONE_EXAMPLE = "15105553344"
EMAIL_EXAMPLE = "alice@example.com"
OPAQUE_EXAMPLE = "1789004512"


def parse(kind: str, text: str, region: str | None = None) -> parsing.Address:
    return parsing.parse(ChannelType(kind), text, region)


def refusal(kind: str, text: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(kind, text)
    return caught.value


def parse_new(kind: str, text: str, region: str | None) -> parsing.Address | Refusal:
    """Returns the address of a text that is to be added, or the refusal."""
    try:
        found = parse(kind, text, region)
        parsing.require_unambiguous(found)
    except Refusal as error:
        return error
    return found


def test_a_phone_number_is_parsed() -> None:
    found = parse("phone", "+1 (510) 555-3344")

    assert found == parsing.Address(ChannelType("phone"), "15105553344", "15105553344")


@pytest.mark.parametrize(
    ("kind", "typed", "stored"),
    [
        ("phone", "15105553344", "15105553344"),
        ("phone", "+15105553344", "15105553344"),
        ("phone", "  +1 510-555.3344 ", "15105553344"),
        ("phone", "1/510/555/3344", "15105553344"),
        ("phone", "+44 (0)20 7946 0000", "442079460000"),
        ("phone", "+39 06 1234 5678", "390612345678"),
        ("phone", "+800 1234 5678", "80012345678"),
        ("phone", "15550100123", "15550100123"),
        ("sms", "+1 510 555 3344", "15105553344"),
        ("rcs", "+1 510 555 3344", "15105553344"),
        ("whatsapp", "+1 510 555 3344", "15105553344"),
        ("viber", "+1 510 555 3344", "15105553344"),
        ("whatsapp", "US.13491208655302741918", "US.13491208655302741918"),
        ("viber", "01234567890A=", "01234567890A="),
        ("email", "alice@example.com", "alice@example.com"),
        ("email", "Alice.B+news@Example.COM", "Alice.B+news@example.com"),
        ("email", "alice@shop.test", "alice@shop.test"),
        ("email", "alice@printer.local", "alice@printer.local"),
        ("email", "o'hara!#$%&*/=?^_`{|}~@example.com", "o'hara!#$%&*/=?^_`{|}~@example.com"),
        ("email", "alice@xn--exmple-cua.de", "alice@exämple.de"),
        ("email", "alice@EXÄMPLE.de", "alice@exämple.de"),
        ("email", "a\u0308nne@example.com", "\u00e4nne@example.com"),
        ("email", "a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("email", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com", None),
        ("facebook", "1789004512", "1789004512"),
        ("facebook", " As Given\u200b ", "As Given\u200b"),
        ("line", "\U0001f600" * 255, "\U0001f600" * 255),
        ("x9_-", "+1 510 555 3344", "+1 510 555 3344"),
    ],
)
def test_an_address_is_parsed_to_its_canonical_form(
    kind: str, typed: str, stored: str | None
) -> None:
    assert parse(kind, typed).channel_id == (typed if stored is None else stored)


@pytest.mark.parametrize("case", [*FINDINGS, *MORE], ids=ascii)
def test_each_spelling_has_its_expected_address(case: Case) -> None:
    found = parse_new(case.kind, case.sent, case.region)

    if isinstance(case.expected, Reason):
        assert isinstance(found, Refusal)
        assert found.reason is case.expected
        assert list(found.fields) == ["channel_id"]
        if case.because.startswith("U+"):
            assert case.because in found.message
        return
    assert isinstance(found, parsing.Address)
    assert found.channel_id == case.expected
    again = parse(case.kind, found.channel_id)
    assert (again.channel_id, again.identity) == (found.channel_id, found.identity)


@pytest.mark.parametrize("kind", ["phone", "sms", "rcs"])
@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "+", "()", "0", "1", "12", "+0 510 555 3344", "alice@example.com"),
        *("15105553344;ext=5", "fax:+15105553344", "1 510 CALL NOW", "+0015105553344"),
        *("++15105553344", "1+5105553344", "15105553344+", "1510555\x003344"),
        *("\ud80015105553344", "1510555334", "151055533445", "999123456789", "+37400000"),
        *("1" * 65, "1 " * 40, "\u200b" * 2000, "1" * 1001),
    ],
)
def test_a_malformed_phone_number_is_refused(kind: str, typed: str) -> None:
    error = refusal(kind, typed)

    assert error.reason is Reason.BAD_PHONE
    assert PHONE_EXAMPLE in error.message
    assert list(error.fields) == ["channel_id"]


@pytest.mark.parametrize("kind", ["whatsapp", "viber"])
@pytest.mark.parametrize(
    "typed",
    ["12", "1510555334", "001510555334", "(", " 12 ", "+", "", " ", "1" * 65, "+" + "1 " * 40],
)
def test_an_opaque_id_of_phone_characters_is_refused(kind: str, typed: str) -> None:
    assert refusal(kind, typed).reason is Reason.BAD_PHONE


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "alice", "@example.com", "alice@", "a@b@example.com", "alice@example"),
        *("alice@exa_mple.com", "alice@[192.0.2.1]", "alice@192.0.2.1", '"al ice"@example.com'),
        *("Alice <alice@example.com>", "a b@example.com"),
        *("alice@example.com.", "alice@.example.com", "alice@example..com", "al..ice@example.com"),
        *(
            ".alice@example.com",
            "alice.@example.com",
            "alice@-example.com",
            "alice\uff20example.com",
        ),
        *("a" * 65 + "@example.com", "\u00e4" * 33 + "@example.com"),
        *(f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 58}.com", "a" * 300),
        *("alice\x00@example.com", "\ud800@example.com", "alice\x7f@b.com"),
        "\u0308alice@example.com",
        "mailto:alice@example.com?subject=x",
    ],
)
def test_a_malformed_email_address_is_refused(typed: str) -> None:
    error = refusal("email", typed)

    assert error.reason is Reason.BAD_EMAIL
    assert EMAIL_EXAMPLE in error.message
    assert list(error.fields) == ["channel_id"]


@pytest.mark.parametrize("kind", ["facebook", "whatsapp", "viber"])
@pytest.mark.parametrize(
    "typed", ["x" * 256, "x\x00", "\x1fx", "x\x7f", "x\x85y", "x\ud800", "\udfffx", "x\ny"]
)
def test_a_malformed_integration_id_is_refused(kind: str, typed: str) -> None:
    error = refusal(kind, typed)

    assert error.reason is Reason.BAD_CHANNEL_ID
    assert OPAQUE_EXAMPLE in error.message
    assert list(error.fields) == ["channel_id"]


@pytest.mark.parametrize("text", ["phone", "a", "a" * 32, "x9_-", "apple-messages", "identity"])
def test_any_well_formed_channel_type_is_accepted(text: str) -> None:
    assert parsing.channel_type(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "id", "Phone", "9a", "_a", "-a", "a" * 33, "a b", "a.b", "phone\n", "a\x00", "é"],
)
def test_a_malformed_channel_type_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.channel_type(text)

    assert caught.value.reason is Reason.BAD_CHANNEL_TYPE
    assert "for example phone" in caught.value.message
    assert list(caught.value.fields) == ["channel_type"]


@pytest.mark.parametrize("text", ["", "x" * 255, "\U0001f600", "Zoë", "\u202e", " "])
def test_a_short_text_is_unchanged(text: str) -> None:
    assert parsing.validate_text("first", text) == text


@pytest.mark.parametrize("text", ["x" * 256, "\x00", "a\nb", "\x9f", "\ud800"])
def test_a_text_with_control_characters_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.validate_text("first", text)

    assert caught.value.reason is Reason.BAD_VALUE
    assert list(caught.value.fields) == ["first"]


@settings(max_examples=300)
@given(strategies.channel_types(), st.data())
def test_parsing_a_canonical_address_returns_the_same_address(
    kind: ChannelType, data: st.DataObject
) -> None:
    numbers = strategies.international_digits() | strategies.example_numbers()
    texts = strategies.emails() if kind == "email" else numbers.flatmap(strategies.spelled)
    found = parse_new(kind, data.draw(texts), None)
    assume(isinstance(found, parsing.Address))

    assert isinstance(found, parsing.Address)
    assert parsing.parse(kind, found.channel_id) == found


@given(strategies.example_numbers(), st.data())
def test_every_spelling_of_a_number_has_the_same_identity(number: str, data: st.DataObject) -> None:
    typed = data.draw(strategies.spelled(number))

    assert parse("phone", typed).identity == parse("phone", number).identity


@given(strategies.emails(), st.data())
def test_every_casing_of_an_email_address_has_the_same_identity(
    typed: str, data: st.DataObject
) -> None:
    casing = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))

    assert parse("email", casing(typed)).identity == parse("email", typed).identity


@given(strategies.emails())
def test_the_local_part_of_an_email_address_is_unchanged(typed: str) -> None:
    local, _, domain = typed.partition("@")

    assert parse("email", typed).channel_id == f"{local}@{domain.lower()}"


@settings(max_examples=300)
@given(strategies.channel_types(), strategies.hostile_text(), st.sampled_from([None, "US", "BR"]))
def test_hostile_text_is_parsed_or_refused(
    kind: ChannelType, text: str, region: str | None
) -> None:
    """A parsed address can be stored by both stores; a refusal has an example."""
    found = parse_new(kind, text, region)

    if isinstance(found, Refusal):
        assert found.reason.kind is Kind.BAD_DATA
        assert any(
            example in found.message for example in (PHONE_EXAMPLE, EMAIL_EXAMPLE, OPAQUE_EXAMPLE)
        )
        return
    for stored in (found.channel_id, found.identity):
        assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in stored)
        assert 1 <= len(stored) <= MAX_CHARACTERS
