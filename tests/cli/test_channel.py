"""`reachbook channel`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home
from tests.support.personas import ALICE, NOBODY

BOB = "b0b00000-0000-4000-8000-000000000000"


@pytest.fixture
def alices(housed: Home) -> Home:
    """Alice has a phone; once on each store."""
    return with_alice(housed)


@pytest.fixture
def small(bobs: Home) -> Home:
    """The same on SQLite alone."""
    return with_alice(bobs)


def with_alice(home: Home) -> Home:
    phone = ("--channel", "phone=15105553344")
    home.run("contact", "create", "--uuid", ALICE, *phone).succeeded()
    return home


def test_it_works(alices: Home) -> None:
    alices = alices.as_process()
    alices.run("channel", "add", ALICE, "alice@Example.com").succeeded()

    shown = alices.run("channel", "list", ALICE).succeeded()

    assert re.search(r"ch_001 +phone +15105553344 +yes +- +unknown ", shown)
    assert re.search(r"ch_002 +email +alice@example.com +yes +- +unknown ", shown)
    assert "15105553344" not in alices.run("channel", "remove", ALICE, "ch_001").succeeded()


def test_each_command_prints_one_json_document(alices: Home) -> None:
    added = alices.json("channel", "add", ALICE, "+44 20 7946 0000")

    assert alices.json("channel", "list", ALICE) == added
    assert [(one["id"], one["primary"]) for one in added] == [("ch_001", True), ("ch_002", False)]
    assert alices.json("channel", "remove", ALICE, "ch_002") == added[:1]


def test_what_it_has_is_updated(small: Home) -> None:
    words = ("channel", "add", ALICE, "-1001234", "--type", "telegram")
    small.json(*words)

    [_, changed] = small.json(*words, "--handle", "-bob", "--info-channel", "bot 1")

    assert changed["channel_id"] == "-1001234"
    assert (changed["channel_handle"], changed["info_channel"]) == ("-bob", "bot 1")


def test_an_address_that_another_contact_owns_is_refused_or_moved(alices: Home) -> None:
    alices.run("contact", "create", "--uuid", BOB).succeeded()

    assert ALICE in alices.run("channel", "add", BOB, "+15105553344").refusal()
    [moved] = alices.json("channel", "add", BOB, "+15105553344", "--move")

    assert (moved["channel_id"], moved["contact_id"]) == ("15105553344", BOB)
    assert alices.json("channel", "list", ALICE) == []


def test_the_last_channel_may_go(small: Home) -> None:
    said = small.run("channel", "remove", ALICE, "phone").succeeded()

    assert said == "The contact has no channel, and cannot be reached.\n"
    assert small.run("channel", "list", ALICE).succeeded() == said


def test_a_type_of_which_there_are_several_removes_none(small: Home) -> None:
    before = small.json("channel", "add", ALICE, "442079460000")

    said = small.run("channel", "remove", ALICE, "phone").refusal()

    assert "ch_001 (15105553344), ch_002 (442079460000)" in said
    assert small.json("channel", "list", ALICE) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
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
def test_what_cannot_be_done_is_refused(small: Home, arguments: tuple[str, ...], said: str) -> None:
    assert said in small.run("channel", *arguments).refusal()


def test_several_teams_have_to_be_told_apart(small: Home) -> None:
    small.json("team", "create", "Charlie's team")

    for words in (("add", ALICE, "a@b.test"), ("list", ALICE), ("remove", ALICE, "phone")):
        assert "2 (Charlie's team)" in small.run("channel", *words).refusal()
        assert "no contact" in small.run("channel", *words, "--team", "2").refusal()
    assert len(small.json("channel", "list", ALICE, "--team", "1")) == 1


@pytest.mark.parametrize("arguments", [("add", ALICE), ("add", ALICE, "1", "2"), ("list",)])
def test_wrong_usage_exits_with_2(home: Home, arguments: tuple[str, ...]) -> None:
    assert "Usage: reachbook channel" in home.run("channel", *arguments).misuse()
