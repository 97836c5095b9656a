"""`reachbook team`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

FIELDS = ["team_id", "name", "default_region", "created"]
EXACT_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_team_is_created_changed_and_listed(team_home: Home) -> None:
    team_home = team_home.as_process()
    made = team_home.run("team", "create", "Charlie's team", "--region", "BR").succeeded()
    changed = team_home.run("team", "set", "1", "--name", "Bob's").succeeded()
    listed = team_home.run("team", "list").succeeded()

    assert "Charlie's team" in made
    assert "Bob's" in changed
    assert re.search(r"^1 +Bob's +US .*\n2 +Charlie's team +BR ", listed, re.MULTILINE)


def test_each_command_prints_one_json_document(team_home: Home) -> None:
    made = team_home.json("team", "create", "Charlie's team", "--region", "BR")
    changed = team_home.json("team", "set", "2", "--name", "Charlie's")
    first, second = team_home.json("team", "list")

    assert list(first) == list(made) == list(changed) == FIELDS
    assert (made["team_id"], made["name"], made["default_region"]) == (2, "Charlie's team", "BR")
    assert EXACT_TIME.fullmatch(made["created"])
    assert second == changed == {**made, "name": "Charlie's"}


def test_list_without_teams_is_empty(home: Home) -> None:
    assert home.json("team", "list") == []
    home.run("team", "list").succeeded()


def test_set_changes_only_given_options_and_an_empty_region_clears_it(
    sqlite_home: Home,
) -> None:
    [made] = sqlite_home.json("team", "list")

    assert sqlite_home.json("team", "set", "1") == made
    assert sqlite_home.json("team", "set", "1", "--region", "BR") == {
        **made,
        "default_region": "BR",
    }
    assert sqlite_home.json("team", "set", "1", "--region", "") == {
        **made,
        "default_region": None,
    }


@pytest.mark.parametrize("region", ["us", "XX"])
def test_a_bad_region_is_refused_with_an_example(sqlite_home: Home, region: str) -> None:
    assert "like US" in sqlite_home.run("team", "create", "Charlie's", "--region", region).refusal()


@pytest.mark.parametrize("name", ["   ", "n" * 256, "two\nlines", "\udcff"])
def test_an_invalid_name_is_refused(home: Home, name: str) -> None:
    assert "1 to 255" in home.run("team", "create", name).refusal()


@pytest.mark.parametrize("name", ["[/]", "[red]名前[/red] :smile:", "n" * 120])
def test_a_printable_name_is_listed_unchanged(home: Home, name: str) -> None:
    home.run("team", "create", "--", name).succeeded()

    assert name in home.run("team", "list").succeeded()


@pytest.mark.parametrize("team_id", ["2", "-1", "9223372036854775808"])
def test_an_unknown_team_is_refused(team_home: Home, team_id: str) -> None:
    """The last id does not fit into 64 bits."""
    message = team_home.run("team", "set", "--name", "x", "--", team_id).refusal()

    assert f"no team {team_id}" in message
    assert "reachbook team list" in message


@pytest.mark.parametrize("arguments", [["create"], ["set", "one"], ["list", "extra"]])
def test_wrong_usage_exits_with_2(home: Home, arguments: list[str]) -> None:
    assert "Usage: reachbook team" in home.run("team", *arguments).misuse()
