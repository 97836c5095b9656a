"""`reachbook key`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

SHOWN_ONCE = ["team_id", "key_id", "api_key", "representation"]
FACTS = [
    "team_id",
    "key_id",
    "label",
    "representation",
    "read_only",
    "created",
    "last_used",
    "revoked",
]
API_KEY = re.compile(r"(rbk_1_[0-9a-f]{16})_[0-9a-f]{40}")


def test_it_works(housed: Home) -> None:
    housed = housed.as_process()
    made = housed.run("key", "create", "--team", "1", "--label", "shop").succeeded()
    listed = housed.run("key", "list").succeeded()

    [key_id] = API_KEY.findall(made)
    assert "not shown again" in made
    assert "shop" in listed
    assert f"{key_id} is revoked" in housed.run("key", "revoke", key_id).succeeded()


def test_each_command_prints_one_json_document(housed: Home) -> None:
    made = housed.json("key", "create", "--team", "1", "--label", "a", "--read-only")
    [listed] = housed.json("key", "list", "--team", "1")
    revoked = housed.json("key", "revoke", made["key_id"])

    assert list(made) == SHOWN_ONCE
    match = API_KEY.fullmatch(made["api_key"])
    assert match
    assert match[1] == made["key_id"]
    assert (made["team_id"], made["representation"]) == (1, "string_ids")
    assert list(listed) == list(revoked) == FACTS
    assert (listed["label"], listed["read_only"], listed["revoked"]) == ("a", True, None)
    assert revoked == {**listed, "revoked": revoked["revoked"]}


def test_the_representation_can_be_chosen(bobs: Home) -> None:
    made = bobs.json("key", "create", "--team", "1", "--representation", "integer_ids")

    assert made["representation"] == "integer_ids"


def test_ids_are_listed_whole_so_that_one_can_be_revoked(bobs: Home) -> None:
    made = bobs.json("key", "create", "--team", "1", "--label", "a label of some length")

    assert made["key_id"] in bobs.run("key", "list").succeeded()


@pytest.mark.parametrize("label", ["[/]", "[bold]"])
def test_a_label_is_listed_as_it_was_given(bobs: Home, label: str) -> None:
    bobs.run("key", "create", "--team", "1", "--label", label).succeeded()

    assert label in bobs.run("key", "list").succeeded()


def test_a_team_can_have_many_keys(bobs: Home) -> None:
    made = [bobs.json("key", "create", "--team", "1")["key_id"] for _ in range(3)]

    assert [one["key_id"] for one in bobs.json("key", "list")] == made


def test_revoking_twice_says_since_when(housed: Home) -> None:
    made = housed.json("key", "create", "--team", "1")
    since = housed.json("key", "revoke", made["key_id"])["revoked"]

    said = housed.run("key", "revoke", made["key_id"]).refusal()

    assert said == f"{made['key_id']} has been revoked since {since}."


@pytest.mark.parametrize("ident", ["rbk_1_0123456789abcdef", "x"])
def test_an_unknown_key_is_refused(bobs: Home, ident: str) -> None:
    assert "There is no key" in bobs.run("key", "revoke", ident).refusal()


@pytest.mark.parametrize(
    ("command", "team"), [("create", "2"), ("list", "2"), ("list", "9223372036854775808")]
)
def test_an_unknown_team_is_refused(bobs: Home, command: str, team: str) -> None:
    assert f"no team {team}" in bobs.run("key", command, "--team", team).refusal()


def test_wrong_usage_exits_with_2(bobs: Home) -> None:
    assert "--team" in bobs.run("key", "create").misuse()
    assert "KEY_ID" in bobs.run("key", "revoke").misuse()
