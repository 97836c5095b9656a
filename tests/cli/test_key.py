"""`reachbook key`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

SHOWN_ONCE = ["team_id", "key_id", "api_key", "representation"]
FIELDS = [
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


def test_a_key_is_created_listed_and_revoked(team_home: Home) -> None:
    team_home = team_home.as_process()
    made = team_home.run("key", "create", "--team", "1", "--label", "shop").succeeded()
    listed = team_home.run("key", "list").succeeded()

    [key_id] = API_KEY.findall(made)
    assert "not shown again" in made
    assert "shop" in listed
    assert f"{key_id} is revoked" in team_home.run("key", "revoke", key_id).succeeded()


def test_each_command_prints_one_json_document(team_home: Home) -> None:
    made = team_home.json("key", "create", "--team", "1", "--label", "a", "--read-only")
    [listed] = team_home.json("key", "list", "--team", "1")
    revoked = team_home.json("key", "revoke", made["key_id"])

    assert list(made) == SHOWN_ONCE
    match = API_KEY.fullmatch(made["api_key"])
    assert match
    assert match[1] == made["key_id"]
    assert (made["team_id"], made["representation"]) == (1, "string_ids")
    assert list(listed) == list(revoked) == FIELDS
    assert (listed["label"], listed["read_only"], listed["revoked"]) == ("a", True, None)
    assert revoked == {**listed, "revoked": revoked["revoked"]}


def test_the_representation_can_be_chosen(sqlite_home: Home) -> None:
    made = sqlite_home.json("key", "create", "--team", "1", "--representation", "integer_ids")

    assert made["representation"] == "integer_ids"


def test_ids_are_listed_in_full(sqlite_home: Home) -> None:
    made = sqlite_home.json("key", "create", "--team", "1", "--label", "a label of some length")

    assert made["key_id"] in sqlite_home.run("key", "list").succeeded()


@pytest.mark.parametrize("label", ["[/]", "[bold]"])
def test_a_label_with_markup_is_listed_unchanged(sqlite_home: Home, label: str) -> None:
    sqlite_home.run("key", "create", "--team", "1", "--label", label).succeeded()

    assert label in sqlite_home.run("key", "list").succeeded()


def test_a_team_can_have_many_keys(sqlite_home: Home) -> None:
    made = [sqlite_home.json("key", "create", "--team", "1")["key_id"] for _ in range(3)]

    assert [key["key_id"] for key in sqlite_home.json("key", "list")] == made


def test_the_error_for_a_revoked_key_has_the_time_of_revocation(team_home: Home) -> None:
    made = team_home.json("key", "create", "--team", "1")
    revoked_at = team_home.json("key", "revoke", made["key_id"])["revoked"]

    message = team_home.run("key", "revoke", made["key_id"]).refusal()

    assert message == f"{made['key_id']} has been revoked since {revoked_at}."


@pytest.mark.parametrize("ident", ["rbk_1_0123456789abcdef", "x"])
def test_an_unknown_key_is_refused(sqlite_home: Home, ident: str) -> None:
    assert "There is no key" in sqlite_home.run("key", "revoke", ident).refusal()


@pytest.mark.parametrize(
    ("command", "team"), [("create", "2"), ("list", "2"), ("list", "9223372036854775808")]
)
def test_an_unknown_team_is_refused(sqlite_home: Home, command: str, team: str) -> None:
    assert f"no team {team}" in sqlite_home.run("key", command, "--team", team).refusal()


def test_wrong_usage_exits_with_2(sqlite_home: Home) -> None:
    assert "--team" in sqlite_home.run("key", "create").misuse()
    assert "KEY_ID" in sqlite_home.run("key", "revoke").misuse()
