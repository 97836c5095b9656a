"""`reachbook secret`."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.commands import Done
from tests.support.home import Home

SHOWN_ONCE = ["team_id", "secret_id", "secret_key", "representation"]
FIELDS = [
    "team_id",
    "secret_id",
    "label",
    "representation",
    "read_only",
    "created",
    "last_used",
    "revoked",
]
SECRET_ID = re.compile(r"rbs_1_[0-9a-f]{16}")


def create(home: Home, *arguments: str) -> Done:
    return home.run("secret", "create", "--team", "1", *arguments)


def test_a_secret_is_created_listed_and_revoked(team_home: Home) -> None:
    team_home = team_home.as_process()
    made = create(team_home, "--label", "importer").succeeded()
    listed = team_home.run("secret", "list").succeeded()

    [secret_id] = SECRET_ID.findall(made)
    assert re.search(r"secret_key +[0-9a-f]{64}\n", made)
    assert "not shown again" in made
    assert "importer" in listed
    assert f"{secret_id} is revoked" in team_home.run("secret", "revoke", secret_id).succeeded()


def test_each_command_prints_one_json_document(team_home: Home) -> None:
    made = team_home.json("secret", "create", "--team", "1", "--label", "a", "--read-only")
    [listed] = team_home.json("secret", "list", "--team", "1")
    revoked = team_home.json("secret", "revoke", made["secret_id"])

    assert list(made) == SHOWN_ONCE
    assert SECRET_ID.fullmatch(made["secret_id"])
    assert (made["team_id"], made["representation"]) == (1, "integer_ids")
    assert list(listed) == list(revoked) == FIELDS
    assert (listed["label"], listed["read_only"], listed["revoked"]) == ("a", True, None)
    assert revoked == {**listed, "revoked": revoked["revoked"]}
    assert revoked["revoked"] >= listed["created"]


def test_the_representation_can_be_chosen(sqlite_home: Home) -> None:
    made = sqlite_home.json("secret", "create", "--team", "1", "--representation", "string_ids")

    assert made["representation"] == "string_ids"
    assert "string_idz" in create(sqlite_home, "--representation", "string_idz").misuse()


def test_ids_are_listed_in_full(sqlite_home: Home) -> None:
    made = sqlite_home.json("secret", "create", "--team", "1", "--label", "a label of some length")

    assert made["secret_id"] in sqlite_home.run("secret", "list").succeeded()


def test_list_does_not_print_the_secret_key(sqlite_home: Home) -> None:
    made = sqlite_home.json("secret", "create", "--team", "1")

    assert made["secret_key"] not in sqlite_home.run("secret", "list").succeeded()
    assert made["secret_key"] not in sqlite_home.run("secret", "list", "--json").succeeded()


def test_a_third_live_secret_is_refused_until_one_is_revoked(team_home: Home) -> None:
    first = team_home.json("secret", "create", "--team", "1")
    create(team_home).succeeded()

    message = create(team_home).refusal()
    team_home.json("secret", "revoke", first["secret_id"])

    assert "2 live API secrets" in message
    assert "reachbook secret revoke" in message
    create(team_home).succeeded()
    create(team_home).refusal()
    assert len(team_home.json("secret", "list")) == 3


def test_two_of_four_concurrently_created_secrets_are_refused(team_home: Home) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: create(team_home.as_process()), range(4)))

    assert sorted(result.code for result in results) == [0, 0, 1, 1], results
    assert all("2 live API secrets" in result.refusal() for result in results if result.code)
    assert len(team_home.json("secret", "list")) == 2


def test_the_error_for_a_revoked_secret_has_the_time_of_revocation(team_home: Home) -> None:
    made = team_home.json("secret", "create", "--team", "1")
    revoked_at = team_home.json("secret", "revoke", made["secret_id"])["revoked"]

    message = team_home.run("secret", "revoke", made["secret_id"]).refusal()

    assert message == f"{made['secret_id']} has been revoked since {revoked_at}."


@pytest.mark.parametrize(
    "ident",
    [
        "rbs_1_0123456789abcdef",
        "rbs_999999999999999999_0123456789abcdef",
        "rbk_1_0123456789abcdef",
        "nothing",
        "\udcff",
    ],
)
def test_an_unknown_secret_is_refused(sqlite_home: Home, ident: str) -> None:
    message = sqlite_home.run("secret", "revoke", ident).refusal()

    assert "There is no secret" in message
    assert "reachbook secret list" in message


@pytest.mark.parametrize(
    ("command", "team"), [("create", "2"), ("list", "2"), ("create", "9223372036854775808")]
)
def test_an_unknown_team_is_refused(sqlite_home: Home, command: str, team: str) -> None:
    assert f"no team {team}" in sqlite_home.run("secret", command, "--team", team).refusal()


def test_list_with_team_omits_other_teams_secrets(sqlite_home: Home) -> None:
    sqlite_home.json("team", "create", "Charlie's team")
    mine = sqlite_home.json("secret", "create", "--team", "1")
    theirs = sqlite_home.json("secret", "create", "--team", "2")

    def listed(*options: str) -> list[str]:
        return [secret["secret_id"] for secret in sqlite_home.json("secret", "list", *options)]

    assert listed("--team", "1") == [mine["secret_id"]]
    assert listed() == [mine["secret_id"], theirs["secret_id"]]


def test_a_label_with_a_control_character_is_refused(sqlite_home: Home) -> None:
    assert "1 to 255" in create(sqlite_home, "--label", "two\nlines").refusal()


def test_a_key_file_readable_by_others_is_refused(sqlite_home: Home) -> None:
    create(sqlite_home).succeeded()
    key_file = sqlite_home.directory / "master.key"
    assert key_file.stat().st_mode & 0o777 == 0o600

    key_file.chmod(0o644)

    assert f"chmod 600 {key_file}" in create(sqlite_home).refusal()


def test_another_master_key_is_refused(sqlite_home: Home) -> None:
    create(sqlite_home).succeeded()
    other = sqlite_home.having(master_key=base64.b64encode(b"o" * 32).decode())

    assert "REACHBOOK_MASTER_KEY is not the master key" in create(other).refusal()
    assert len(sqlite_home.json("secret", "list")) == 1


def test_wrong_usage_exits_with_2(sqlite_home: Home) -> None:
    assert "--team" in sqlite_home.run("secret", "create").misuse()
    assert "SECRET_ID" in sqlite_home.run("secret", "revoke").misuse()
