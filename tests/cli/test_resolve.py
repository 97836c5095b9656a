"""`reachbook resolve`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home
from tests.support.personas import ALICE


def alice(home: Home, *channels: str) -> None:
    options = [word for each in channels for word in ("--channel", each)]
    home.run("contact", "create", "--uuid", ALICE, "--first", "Alice", *options).succeeded()


def test_it_works(housed: Home) -> None:
    housed = housed.as_process()
    alice(housed, "phone=15105553344")

    shown = housed.run("resolve", "+15105553344").succeeded()

    assert re.search(rf"uuid +{ALICE}\n", shown)
    assert re.search(r"first +Alice\n", shown)
    assert re.search(r"channel +ch_001\n", shown)
    assert re.search(r"address +15105553344\n", shown)


def test_nobody_is_an_answer(housed: Home) -> None:
    assert housed.run("resolve", "+15105553344").succeeded() == "Nobody has phone 15105553344.\n"
    assert housed.json("resolve", "+15105553344") == {
        "contact": None,
        "channel": None,
        "created": False,
        "suppressed": None,
    }


def test_it_prints_one_json_document(housed: Home) -> None:
    alice(housed, "email=alice@example.com")

    found = housed.json("resolve", "Alice@Example.com")

    assert found["contact"] == housed.json("contact", "show", ALICE)
    assert found["channel"] == housed.json("channel", "list", ALICE)[0]
    assert found["created"] is False
    assert "explain" not in found


@pytest.mark.parametrize(
    "arguments",
    [
        ("-1001234", "--type", "telegram"),
        ("--type", "telegram", "-1001234"),
        ("--type=telegram", "-1001234"),
        ("--type", "telegram", "--", "-1001234"),
        ("--team", "1", "-1001234", "--type", "telegram"),
    ],
)
def test_a_value_may_begin_with_a_dash(bobs: Home, arguments: tuple[str, ...]) -> None:
    alice(bobs, "telegram=-1001234")

    assert ALICE in bobs.run("resolve", *arguments).succeeded()


def test_a_handle_that_looks_like_help_is_a_value(bobs: Home) -> None:
    said = bobs.run("resolve", "-handle", "--type", "twitter").succeeded()

    assert said == "Nobody has twitter -handle.\n"
    assert "Usage: reachbook resolve" in bobs.run("resolve", "-h").succeeded()


def test_a_contact_is_made_once(housed: Home) -> None:
    arguments = ("resolve", "+1 510 555 3344", "--create", "--first", "Alice", "--last", "Doe")

    made, found = housed.json(*arguments), housed.json(*arguments)

    assert (made["created"], found["created"]) == (True, False)
    assert made["contact"] == found["contact"]
    assert (found["contact"]["first"], found["contact"]["last"]) == ("Alice", "Doe")
    assert found["contact"]["phone"] == "15105553344"


def test_an_info_channel_tells_pages_apart(bobs: Home) -> None:
    arguments = ("resolve", "1789", "--type", "facebook", "--info-channel")
    bobs.json(*arguments, "page-1", "--create")

    assert bobs.json(*arguments, "page-2")["contact"] is None
    assert bobs.json(*arguments, "page-1")["channel"]["info_channel"] == "page-1"


def test_it_explains_how_the_value_was_read(bobs: Home) -> None:
    alice(bobs, "phone=5511987654321")

    told = bobs.json("resolve", "+55 11 8765-4321", "--explain")["explain"]
    shown = bobs.run("resolve", "+55 11 8765-4321", "--explain").succeeded()

    assert told["typed"] == "+55 11 8765-4321"
    assert told["identity"] == "551187654321"
    assert "Brazil" in told["rule"]
    assert re.search(rf"rule +{told['rule']}\n", shown)


def test_a_value_that_is_no_address_is_refused(bobs: Home) -> None:
    assert "channel_type" in bobs.run("resolve", "alice").refusal()
    assert "15105553344" in bobs.run("resolve", "12").refusal()


def test_digits_that_could_be_two_numbers_are_not_made_a_contact(bobs: Home) -> None:
    """The team's region is the United States. A look-up tries both readings."""
    assert "+16465550123" in bobs.run("resolve", "6465550123", "--create").refusal()
    shown = bobs.run("resolve", "6465550123", "--explain").succeeded()
    assert "Nobody has phone 6465550123 or 16465550123.\n" in shown
    assert "ambiguous: +6465550123 and +16465550123 are both valid numbers" in shown

    alice(bobs, "phone=+16465550123")

    found = bobs.json("resolve", "(646) 555-0123", "--explain")
    assert found["contact"]["uuid"] == ALICE
    assert found["explain"]["canonical"] == "16465550123"


def test_several_teams_have_to_be_told_apart(bobs: Home) -> None:
    alice(bobs, "phone=15105553344")
    bobs.json("team", "create", "Charlie's team")

    assert "2 (Charlie's team)" in bobs.run("resolve", "15105553344").refusal()
    assert bobs.json("resolve", "15105553344", "--team", "1")["contact"]["uuid"] == ALICE
    assert bobs.json("resolve", "15105553344", "--team", "2")["contact"] is None


@pytest.mark.parametrize(
    "arguments", [(), ("--jsn", "15105553344"), ("+1", "510"), ("15105553344", "--first", "A")]
)
def test_wrong_usage_exits_with_2(home: Home, arguments: tuple[str, ...]) -> None:
    assert "Usage: reachbook resolve" in home.run("resolve", *arguments).misuse()
    assert not home.directory.exists()
