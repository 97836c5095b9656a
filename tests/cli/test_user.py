"""`reachbook user`."""

from __future__ import annotations

import re

import pytest

from tests.support.home import Home

FIELDS = ["team_id", "user_id", "email", "role", "has_password", "created", "disabled"]


def test_a_user_is_created_listed_and_gets_a_link(sqlite_home: Home) -> None:
    home = sqlite_home.as_process()
    made = home.run("user", "create", "Dana@Example.com", "--role", "admin").succeeded()
    listed = home.run("user", "list").succeeded()
    link = home.run("user", "link", "dana@example.com").succeeded()

    assert "dana@example.com" in made
    assert re.search(r"^1 +\d+ +dana@example.com +admin +False ", listed, re.MULTILINE)
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/console/link/1\.[\w-]{43}\n", link)


def test_each_command_prints_one_json_document(sqlite_home: Home) -> None:
    made = sqlite_home.json("user", "create", "dana@example.com")
    sqlite_home.json("user", "create", "erin@example.com", "--role", "admin")
    disabled = sqlite_home.json("user", "disable", "dana@example.com")
    enabled = sqlite_home.json("user", "enable", "dana@example.com")
    link = sqlite_home.json(
        "user", "link", "dana@example.com", "--url", "https://book.example.com/x/"
    )

    assert list(made) == FIELDS
    assert made["role"] == "member"
    assert disabled["disabled"]
    assert enabled == made
    assert [user["email"] for user in sqlite_home.json("user", "list")] == [
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
def test_the_error_message_gives_the_reason(
    sqlite_home: Home, arguments: list[str], message: str
) -> None:
    sqlite_home.json("user", "create", "erin@example.com", "--role", "admin")

    assert message in sqlite_home.run("user", *arguments).refusal()


def test_a_link_for_a_disabled_user_is_refused(sqlite_home: Home) -> None:
    sqlite_home.json("user", "create", "dana@example.com")
    sqlite_home.json("user", "disable", "dana@example.com")

    assert "enable the user first" in sqlite_home.run("user", "link", "dana@example.com").refusal()


def test_team_is_required_if_the_address_is_in_several_teams(sqlite_home: Home) -> None:
    sqlite_home.json("team", "create", "Charlie's team")
    for team in ("1", "2"):
        sqlite_home.json("user", "create", "dana@example.com", "--team", team)

    assert "--team: 1, 2" in sqlite_home.run("user", "link", "dana@example.com").refusal()
    assert "/link/2." in sqlite_home.json("user", "link", "dana@example.com", "--team", "2")["url"]
