"""`reachbook user`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

FACTS = ["team_id", "user_id", "email", "role", "has_password", "created", "disabled"]


def test_it_works(bobs: Home) -> None:
    home = bobs.as_process()
    made = home.run("user", "create", "Dana@Example.com", "--role", "admin").succeeded()
    listed = home.run("user", "list").succeeded()
    link = home.run("user", "link", "dana@example.com").succeeded()

    assert "dana@example.com" in made
    assert re.search(r"^1 +\d+ +dana@example.com +admin +False ", listed, re.MULTILINE)
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/console/link/1\.[\w-]{43}\n", link)


def test_each_command_prints_one_json_document(bobs: Home) -> None:
    made = bobs.json("user", "create", "dana@example.com")
    bobs.json("user", "create", "erin@example.com", "--role", "admin")
    disabled = bobs.json("user", "disable", "dana@example.com")
    enabled = bobs.json("user", "enable", "dana@example.com")
    link = bobs.json("user", "link", "dana@example.com", "--url", "https://book.example.com/x/")

    assert list(made) == FACTS
    assert made["role"] == "member"
    assert disabled["disabled"]
    assert enabled == made
    assert [user["email"] for user in bobs.json("user", "list")] == [
        *("dana@example.com", "erin@example.com")
    ]
    assert link["url"].startswith("https://book.example.com/x/console/link/1.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "dana"], "not an email address"),
        (["create", "dana@example.com", "--team", "9"], "no team 9"),
        (["link", "nobody@example.com"], "no user nobody@example.com"),
        (["disable", "erin@example.com"], "only admin"),
        (["create", "Erin@example.com"], "has a user erin@example.com already"),
    ],
)
def test_what_is_refused_says_why(bobs: Home, arguments: list[str], message: str) -> None:
    bobs.json("user", "create", "erin@example.com", "--role", "admin")

    assert message in bobs.run("user", *arguments).refusal()


def test_a_disabled_user_gets_no_link(bobs: Home) -> None:
    bobs.json("user", "create", "dana@example.com")
    bobs.json("user", "disable", "dana@example.com")

    assert "enable the user first" in bobs.run("user", "link", "dana@example.com").refusal()


def test_an_address_of_several_teams_needs_the_team(bobs: Home) -> None:
    bobs.json("team", "create", "Charlie's team")
    for team in ("1", "2"):
        bobs.json("user", "create", "dana@example.com", "--team", team)

    assert "--team: 1, 2" in bobs.run("user", "link", "dana@example.com").refusal()
    assert "/link/2." in bobs.json("user", "link", "dana@example.com", "--team", "2")["url"]
