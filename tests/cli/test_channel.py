"""`reachbook channel`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home
from tests.support.personas import ALICE, NOBODY

BOB = "b0b00000-0000-4000-8000-000000000000"


@pytest.fixture
def alice_home(team_home: Home) -> Home:
    """Bob's team has a contact, Alice, with a phone; on SQLite and on PostgreSQL."""
    return with_alice(team_home)


@pytest.fixture
def alice_sqlite(sqlite_home: Home) -> Home:
    """The same, only on SQLite."""
    return with_alice(sqlite_home)


def with_alice(home: Home) -> Home:
    """Create the contact, and return the home."""
    phone = ("--channel", "phone=15105553344")
    home.run("contact", "create", "--uuid", ALICE, *phone).succeeded()
    return home


def test_a_channel_is_added_listed_and_removed(alice_home: Home) -> None:
    alice_home = alice_home.as_process()
    alice_home.run("channel", "add", ALICE, "alice@Example.com").succeeded()

    shown = alice_home.run("channel", "list", ALICE).succeeded()

    assert re.search(r"ch_001 +phone +15105553344 +yes +- +unknown ", shown)
    assert re.search(r"ch_002 +email +alice@example.com +yes +- +unknown ", shown)
    assert "15105553344" not in alice_home.run("channel", "remove", ALICE, "ch_001").succeeded()


def test_each_command_prints_one_json_document(alice_home: Home) -> None:
    added = alice_home.json("channel", "add", ALICE, "+44 20 7946 0000")

    assert alice_home.json("channel", "list", ALICE) == added
    assert [(channel["id"], channel["primary"]) for channel in added] == [
        ("ch_001", True),
        ("ch_002", False),
    ]
    assert alice_home.json("channel", "remove", ALICE, "ch_002") == added[:1]


def test_adding_an_existing_channel_updates_it(alice_sqlite: Home) -> None:
    arguments = ("channel", "add", ALICE, "-1001234", "--type", "telegram")
    alice_sqlite.json(*arguments)

    [_, changed] = alice_sqlite.json(*arguments, "--handle", "-bob", "--info-channel", "bot 1")

    assert changed["channel_id"] == "-1001234"
    assert (changed["channel_handle"], changed["info_channel"]) == ("-bob", "bot 1")


def test_an_address_that_another_contact_owns_is_refused_or_moved(alice_home: Home) -> None:
    alice_home.run("contact", "create", "--uuid", BOB).succeeded()

    assert ALICE in alice_home.run("channel", "add", BOB, "+15105553344").refusal()
    [moved] = alice_home.json("channel", "add", BOB, "+15105553344", "--move")

    assert (moved["channel_id"], moved["contact_id"]) == ("15105553344", BOB)
    assert alice_home.json("channel", "list", ALICE) == []


def test_the_last_channel_can_be_removed(alice_sqlite: Home) -> None:
    output = alice_sqlite.run("channel", "remove", ALICE, "phone").succeeded()

    assert output == "The contact has no channel, and cannot be reached.\n"
    assert alice_sqlite.run("channel", "list", ALICE).succeeded() == output


def test_removing_a_type_with_several_channels_is_refused(alice_sqlite: Home) -> None:
    before = alice_sqlite.json("channel", "add", ALICE, "442079460000")

    message = alice_sqlite.run("channel", "remove", ALICE, "phone").refusal()

    assert "ch_001 (15105553344), ch_002 (442079460000)" in message
    assert alice_sqlite.json("channel", "list", ALICE) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("add", ALICE, "12"), "15105553344"),
        (("add", ALICE, "6465550123"), "+16465550123"),
        (("add", ALICE, "alice"), "channel_type"),
        (("add", ALICE, "a", "--type", "id"), "reserved"),
        (("add", ALICE, "15105553344", "--handle", "two\nlines"), "control character"),
        (("add", NOBODY, "442079460000"), "no contact"),
        (("list", NOBODY), "no contact"),
        (("list", "5"), ALICE),
        (("remove", ALICE, "ch_999"), "no channel"),
        (("remove", ALICE, "email"), "no email channel"),
        (("remove", ALICE, "Phone"), "channel_type"),
        (("remove", NOBODY, "phone"), "no contact"),
    ],
)
def test_an_invalid_argument_is_refused(
    alice_sqlite: Home, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in alice_sqlite.run("channel", *arguments).refusal()


def test_team_is_required_if_there_are_several(alice_sqlite: Home) -> None:
    alice_sqlite.json("team", "create", "Charlie's team")

    for arguments in (("add", ALICE, "a@b.test"), ("list", ALICE), ("remove", ALICE, "phone")):
        assert "2 (Charlie's team)" in alice_sqlite.run("channel", *arguments).refusal()
        assert "no contact" in alice_sqlite.run("channel", *arguments, "--team", "2").refusal()
    assert len(alice_sqlite.json("channel", "list", ALICE, "--team", "1")) == 1


@pytest.mark.parametrize("arguments", [("add", ALICE), ("add", ALICE, "1", "2"), ("list",)])
def test_wrong_usage_exits_with_2(home: Home, arguments: tuple[str, ...]) -> None:
    assert "Usage: reachbook channel" in home.run("channel", *arguments).misuse()
