"""`reachbook team`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

FACTS = ["team_id", "name", "default_region", "created"]
EXACT_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_it_works(housed: Home) -> None:
    housed = housed.as_process()
    made = housed.run("team", "create", "Charlie's team", "--region", "BR").succeeded()
    changed = housed.run("team", "set", "1", "--name", "Bob's").succeeded()
    listed = housed.run("team", "list").succeeded()

    assert "Charlie's team" in made
    assert "Bob's" in changed
    assert re.search(r"^1 +Bob's +US .*\n2 +Charlie's team +BR ", listed, re.MULTILINE)


def test_each_command_prints_one_json_document(housed: Home) -> None:
    made = housed.json("team", "create", "Charlie's team", "--region", "BR")
    changed = housed.json("team", "set", "2", "--name", "Charlie's")
    first, second = housed.json("team", "list")

    assert list(first) == list(made) == list(changed) == FACTS
    assert (made["team_id"], made["name"], made["default_region"]) == (2, "Charlie's team", "BR")
    assert EXACT_TIME.fullmatch(made["created"])
    assert second == changed == {**made, "name": "Charlie's"}


def test_a_list_of_no_teams_is_empty(home: Home) -> None:
    assert home.json("team", "list") == []
    home.run("team", "list").succeeded()


def test_set_leaves_what_is_not_given_and_clears_an_empty_region(bobs: Home) -> None:
    [made] = bobs.json("team", "list")

    assert bobs.json("team", "set", "1") == made
    assert bobs.json("team", "set", "1", "--region", "BR") == {**made, "default_region": "BR"}
    assert bobs.json("team", "set", "1", "--region", "") == {**made, "default_region": None}


@pytest.mark.parametrize("region", ["us", "XX"])
def test_a_bad_region_is_refused_with_an_example(bobs: Home, region: str) -> None:
    assert "like US" in bobs.run("team", "create", "Charlie's", "--region", region).refusal()


@pytest.mark.parametrize("name", ["   ", "n" * 256, "two\nlines", "\udcff"])
def test_a_name_that_cannot_be_shown_is_refused(home: Home, name: str) -> None:
    assert "1 to 255" in home.run("team", "create", name).refusal()


@pytest.mark.parametrize("name", ["[/]", "[red]名前[/red] :smile:", "n" * 120])
def test_any_printable_name_is_listed_as_it_was_given(home: Home, name: str) -> None:
    home.run("team", "create", "--", name).succeeded()

    assert name in home.run("team", "list").succeeded()


@pytest.mark.parametrize("team_id", ["2", "-1", "9223372036854775808"])
def test_an_unknown_team_is_refused(housed: Home, team_id: str) -> None:
    """The last of them is more than a 64-bit number, and no team has that either."""
    said = housed.run("team", "set", "--name", "x", "--", team_id).refusal()

    assert f"no team {team_id}" in said
    assert "reachbook team list" in said


@pytest.mark.parametrize("arguments", [["create"], ["set", "one"], ["list", "extra"]])
def test_wrong_usage_exits_with_2(home: Home, arguments: list[str]) -> None:
    assert "Usage: reachbook team" in home.run("team", *arguments).misuse()
