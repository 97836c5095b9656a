"""The explanation of a parsed address: the chosen reading, its reason, and every rewrite."""

from __future__ import annotations

import pytest

from reachbook.domain.address import explain, parsing
from reachbook.domain.address.parsing import ChannelType

E164 = "an international phone number in E.164"
REPLACED = "invisible characters were taken off; other digits, dashes and spaces became ASCII"
USED_NOW = "rewritten to the digits that are used now"
AMBIGUOUS = "ambiguous: +6465550123 and +16465550123 are both valid numbers"
NOT_VALID = "a national number of US: +5105553344 is possible, but it is no valid number"
IMPOSSIBLE = "as international digits it is not possible"
TRUNK = "the trunk prefix was replaced by the country code"
AS_GIVEN = "an id of the integration, exactly as given"
EMAIL = "an email address: the domain in lower case, the rest as written"
INVISIBLE = "white space or invisible characters were taken off"


@pytest.mark.parametrize(
    ("kind", "region", "typed", "steps"),
    [
        ("phone", None, "+1 510 555 3344", [E164]),
        ("phone", None, "00 1 510 555 3344", [E164, "the leading 00 was read as +"]),
        ("phone", None, "+44 (0)20 7946 0018", [E164, "the trunk prefix was left out"]),
        ("phone", None, "\u202a+44\u00a07700\u2011900401", [E164, REPLACED]),
        ("whatsapp", None, "whatsapp:+447700900401", [E164, "whatsapp: was taken off"]),
        ("viber", None, "447700900401:3@c.us", [E164, ":3@c.us was taken off"]),
        ("phone", None, "+52 01 55 1234 5678", [E164, f"Mexico: {USED_NOW}"]),
        ("phone", None, "22997123456", [E164, f"Benin: {USED_NOW}"]),
        ("phone", None, "22507123456", [E164, f"Ivory Coast: {USED_NOW}"]),
        ("phone", "US", "15105553344", [E164]),
        ("phone", "US", "(646) 555-0123", [AMBIGUOUS]),
        ("phone", "US", "(510) 555-3344", [NOT_VALID, "the country code was put in front"]),
        ("phone", "DE", "0170 1234567", [f"a national number of DE: {IMPOSSIBLE}", TRUNK]),
        (
            "phone",
            "DE",
            "15105553344",
            [f"{E164}: a national number of DE would have its trunk prefix"],
        ),
        (
            "phone",
            "US",
            "011 44 20 7946 0018",
            [f"dialled in US: {IMPOSSIBLE}", "the international prefix was left out"],
        ),
        (
            "phone",
            "MX",
            "044 55 1234 5678",
            [f"a national number of MX: {IMPOSSIBLE}", f"Mexico: {USED_NOW}"],
        ),
        ("whatsapp", "US", "6465550123", [E164]),
        ("sms", None, "68849", ["a short code"]),
        ("rcs", None, "My Shop", ["a sender name, as given"]),
        ("whatsapp", None, "82880134910105@lid", ["an id of the provider, as given"]),
        ("telegram", None, "@alice", [AS_GIVEN]),
        ("facebook", None, " 1 ", [AS_GIVEN, "white space around it was taken off"]),
        ("email", None, "alice@example.com", [EMAIL]),
        ("email", None, "mailto:a\u200d@b.com", [EMAIL, INVISIBLE, "mailto: was taken off"]),
        ("email", None, "a@xn--fa-hia.de", [EMAIL, "the domain is written in Unicode"]),
    ],
)
def test_the_reading_and_every_rewrite_are_explained(
    kind: str, region: str | None, typed: str, steps: list[str]
) -> None:
    read = parsing.parse(ChannelType(kind), typed, region)

    assert explain.read_as(typed, read, region) == "; ".join(steps)


@pytest.mark.parametrize(
    ("typed", "owned", "explanation"),
    [
        ("6465550123", "6465550123", "+6465550123 or +16465550123: a contact has +6465550123"),
        ("6465550123", "16465550123", "+6465550123 or +16465550123: a contact has +16465550123"),
        ("5105553344", "5105553344", "+5105553344 or +15105553344: a contact has +5105553344"),
        ("5105553344", "15105553344", "a national number of US: +5105553344 is possible, but"),
    ],
)
def test_the_reading_that_has_an_owner_is_explained(
    typed: str, owned: str, explanation: str
) -> None:
    read = parsing.parse(ChannelType("phone"), typed, "US")

    assert explain.read_as(typed, read, "US", owned).startswith(explanation)
    assert explain.reading_of(read, owned).channel_id == owned


@pytest.mark.parametrize(
    ("kind", "typed", "other", "rule"),
    [
        ("email", "Alice@example.com", "alice@example.com", "case"),
        ("telegram", "@Alice", "alice", "a leading @"),
        ("phone", "5491123456789", "541123456789", "Argentina"),
        ("phone", "551187654321", "5511987654321", "Brazil"),
        ("sms", "SUPPORT", "Support", "sender names"),
    ],
)
def test_the_rule_that_makes_two_spellings_equal_is_explained(
    kind: str, typed: str, other: str, rule: str
) -> None:
    assert rule in explain.joined(parsing.parse(ChannelType(kind), typed), other)
