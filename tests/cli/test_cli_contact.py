"""`reachbook contact`, as real processes."""

from __future__ import annotations

import re

import pytest

from cast import ALICE, NOBODY
from processes import Done, Home

KEYS = {
    "id",
    "uuid",
    "rev",
    "team_id",
    "first",
    "last",
    "display_name",
    "phone",
    "email",
    "avatar",
    "assigned_user_id",
    "external_id",
    "is_opted_out",
    "tags",
    "custom",
    "created",
    "updated",
    "contact_channels",
}


def create(home: Home, *arguments: str) -> Done:
    return home.run("contact", "create", "--team", "1", *arguments)


def test_it_works(housed: Home) -> None:
    channels = ("--channel", "phone=+1 510-555-3344", "--channel", "email=alice@Example.com")
    create(housed, "--uuid", ALICE, "--first", "Alice", *channels).succeeded()

    shown = housed.run("contact", "show", ALICE, "--team", "1").succeeded()

    assert re.search(rf"uuid +{ALICE}\n", shown)
    assert re.search(r"first +Alice\n", shown)
    assert re.search(r"ch_001 +phone +15105553344 ", shown)
    assert re.search(r"ch_002 +email +alice@example.com ", shown)


def test_each_command_prints_one_json_document(housed: Home) -> None:
    made = housed.json(
        *("contact", "create", "--team", "1", "--uuid", ALICE.upper(), "--last", "Doe"),
        *("--channel", "phone=15105553344"),
    )
    shown = housed.json("contact", "show", ALICE.upper(), "--team", "1")

    assert shown == made
    assert set(made) == KEYS
    assert (made["uuid"], made["rev"], made["last"]) == (ALICE, 1, "Doe")
    assert made["phone"] == "15105553344"
    [channel] = made["contact_channels"]
    assert (channel["id"], channel["contact_id"]) == ("ch_001", ALICE)


def test_a_contact_may_have_no_channel_and_gets_a_uuid(bobs: Home) -> None:
    made = bobs.json("contact", "create", "--team", "1")

    assert made["contact_channels"] == []
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["uuid"])
    assert made["uuid"] in bobs.run("contact", "show", made["uuid"], "--team", "1").succeeded()


def test_a_value_may_hold_an_equals_sign(bobs: Home) -> None:
    made = bobs.json("contact", "create", "--team", "1", "--channel", "line=a=b")

    assert made["contact_channels"][0]["channel_id"] == "a=b"


@pytest.mark.parametrize("value", ["[/]", "i" * 200])
def test_any_address_is_shown_as_it_was_given(bobs: Home, value: str) -> None:
    assert value in create(bobs, "--channel", f"facebook={value}").succeeded()


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("phone=12", "15105553344"),
        ("email=alice", "alice@example.com"),
        ("Phone=15105553344", "channel_type"),
        ("id=1", "reserved"),
        ("facebook=\udcff", "surrogate"),
        ("phone=5105553344", "+15105553344"),
    ],
)
def test_a_bad_channel_is_refused_with_an_example(bobs: Home, channel: str, said: str) -> None:
    """The last one is ambiguous, because the team's region is the United States."""
    assert said in create(bobs, "--channel", channel).refusal()


def test_a_channel_without_an_equals_sign_is_wrong_usage(bobs: Home) -> None:
    assert "TYPE=VALUE" in create(bobs, "--channel", "15105553344").misuse()


def test_a_name_that_cannot_be_stored_is_refused(bobs: Home) -> None:
    assert "first holds a control character" in create(bobs, "--first", "two\nlines").refusal()


def test_an_address_that_another_contact_owns_is_refused(housed: Home) -> None:
    create(housed, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    said = create(housed, "--uuid", NOBODY, "--channel", "phone=+1 510 555 3344").refusal()

    assert ALICE in said
    assert "15105553344" in said
    assert "no contact" in housed.run("contact", "show", NOBODY, "--team", "1").refusal()


def test_a_uuid_that_is_in_use_is_refused(housed: Home) -> None:
    create(housed, "--uuid", ALICE).succeeded()

    assert ALICE in create(housed, "--uuid", ALICE).refusal()


@pytest.mark.parametrize("uuid", ["1", ""])
def test_what_is_not_a_uuid_is_refused(bobs: Home, uuid: str) -> None:
    shown = bobs.run("contact", "show", "--team", "1", "--", uuid).refusal()
    made = create(bobs, "--uuid", uuid).refusal()

    assert ALICE in shown
    assert ALICE in made


def test_an_unknown_contact_is_refused(bobs: Home) -> None:
    assert "no contact" in bobs.run("contact", "show", ALICE, "--team", "1").refusal()


def test_a_contact_of_another_team_is_unknown(bobs: Home) -> None:
    create(bobs, "--uuid", ALICE).succeeded()
    bobs.json("team", "create", "Charlie's team")

    assert "no contact" in bobs.run("contact", "show", ALICE, "--team", "2").refusal()


@pytest.mark.parametrize("team", ["2", "9223372036854775808"])
def test_an_unknown_team_is_refused(housed: Home, team: str) -> None:
    said = f"no team {team}"

    assert said in housed.run("contact", "create", "--team", team).refusal()
    assert said in housed.run("contact", "show", ALICE, "--team", team).refusal()


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "--team" in home.run("contact", "create").misuse()
    assert "UUID" in home.run("contact", "show", "--team", "1").misuse()
