"""`reachbook resolve`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home
from tests.support.personas import ALICE


def create_alice(home: Home, *channels: str) -> None:
    options = [word for channel in channels for word in ("--channel", channel)]
    home.run("contact", "create", "--uuid", ALICE, "--first", "Alice", *options).succeeded()


def test_resolve_prints_the_owner_of_an_address(team_home: Home) -> None:
    team_home = team_home.as_process()
    create_alice(team_home, "phone=15105553344")

    shown = team_home.run("resolve", "+15105553344").succeeded()

    assert re.search(rf"uuid +{ALICE}\n", shown)
    assert re.search(r"first +Alice\n", shown)
    assert re.search(r"channel +ch_001\n", shown)
    assert re.search(r"address +15105553344\n", shown)


def test_an_address_without_an_owner_is_no_error(team_home: Home) -> None:
    assert team_home.run("resolve", "+15105553344").succeeded() == "Nobody has phone 15105553344.\n"
    assert team_home.json("resolve", "+15105553344") == {
        "contact": None,
        "channel": None,
        "created": False,
        "suppressed": None,
    }


def test_resolve_prints_one_json_document(team_home: Home) -> None:
    create_alice(team_home, "email=alice@example.com")

    found = team_home.json("resolve", "Alice@Example.com")

    assert found["contact"] == team_home.json("contact", "show", ALICE)
    assert found["channel"] == team_home.json("channel", "list", ALICE)[0]
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
def test_a_value_may_start_with_a_dash(sqlite_home: Home, arguments: tuple[str, ...]) -> None:
    create_alice(sqlite_home, "telegram=-1001234")

    assert ALICE in sqlite_home.run("resolve", *arguments).succeeded()


def test_a_handle_that_looks_like_help_is_a_value(sqlite_home: Home) -> None:
    output = sqlite_home.run("resolve", "-handle", "--type", "twitter").succeeded()

    assert output == "Nobody has twitter -handle.\n"
    assert "Usage: reachbook resolve" in sqlite_home.run("resolve", "-h").succeeded()


def test_create_creates_the_contact_once(team_home: Home) -> None:
    arguments = ("resolve", "+1 510 555 3344", "--create", "--first", "Alice", "--last", "Doe")

    made, found = team_home.json(*arguments), team_home.json(*arguments)

    assert (made["created"], found["created"]) == (True, False)
    assert made["contact"] == found["contact"]
    assert (found["contact"]["first"], found["contact"]["last"]) == ("Alice", "Doe")
    assert found["contact"]["phone"] == "15105553344"


def test_an_info_channel_separates_equal_addresses(sqlite_home: Home) -> None:
    arguments = ("resolve", "1789", "--type", "facebook", "--info-channel")
    sqlite_home.json(*arguments, "page-1", "--create")

    assert sqlite_home.json(*arguments, "page-2")["contact"] is None
    assert sqlite_home.json(*arguments, "page-1")["channel"]["info_channel"] == "page-1"


def test_explain_prints_how_the_value_was_parsed(sqlite_home: Home) -> None:
    create_alice(sqlite_home, "phone=5511987654321")

    explanation = sqlite_home.json("resolve", "+55 11 8765-4321", "--explain")["explain"]
    shown = sqlite_home.run("resolve", "+55 11 8765-4321", "--explain").succeeded()

    assert explanation["typed"] == "+55 11 8765-4321"
    assert explanation["identity"] == "551187654321"
    assert "Brazil" in explanation["rule"]
    assert re.search(rf"rule +{explanation['rule']}\n", shown)


def test_an_invalid_address_is_refused(sqlite_home: Home) -> None:
    assert "channel_type" in sqlite_home.run("resolve", "alice").refusal()
    assert "15105553344" in sqlite_home.run("resolve", "12").refusal()


def test_an_ambiguous_number_is_looked_up_but_not_created(sqlite_home: Home) -> None:
    """The team's region is the United States. A lookup tries both numbers."""
    assert "+16465550123" in sqlite_home.run("resolve", "6465550123", "--create").refusal()
    shown = sqlite_home.run("resolve", "6465550123", "--explain").succeeded()
    assert "Nobody has phone 6465550123 or 16465550123.\n" in shown
    assert "ambiguous: +6465550123 and +16465550123 are both valid numbers" in shown

    create_alice(sqlite_home, "phone=+16465550123")

    found = sqlite_home.json("resolve", "(646) 555-0123", "--explain")
    assert found["contact"]["uuid"] == ALICE
    assert found["explain"]["canonical"] == "16465550123"


def test_team_is_required_if_there_are_several(sqlite_home: Home) -> None:
    create_alice(sqlite_home, "phone=15105553344")
    sqlite_home.json("team", "create", "Charlie's team")

    assert "2 (Charlie's team)" in sqlite_home.run("resolve", "15105553344").refusal()
    assert sqlite_home.json("resolve", "15105553344", "--team", "1")["contact"]["uuid"] == ALICE
    assert sqlite_home.json("resolve", "15105553344", "--team", "2")["contact"] is None


@pytest.mark.parametrize(
    "arguments", [(), ("--jsn", "15105553344"), ("+1", "510"), ("15105553344", "--first", "A")]
)
def test_wrong_usage_exits_with_2(home: Home, arguments: tuple[str, ...]) -> None:
    assert "Usage: reachbook resolve" in home.run("resolve", *arguments).misuse()
    assert not home.directory.exists()
