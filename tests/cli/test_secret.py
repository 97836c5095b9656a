"""`reachbook secret`."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.commands import Done
from tests.support.home import Home

SHOWN_ONCE = ["team_id", "secret_id", "secret_key", "representation"]
FACTS = [
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


def test_it_works(housed: Home) -> None:
    housed = housed.as_process()
    made = create(housed, "--label", "importer").succeeded()
    listed = housed.run("secret", "list").succeeded()

    [secret_id] = SECRET_ID.findall(made)
    assert re.search(r"secret_key +[0-9a-f]{64}\n", made)
    assert "not shown again" in made
    assert "importer" in listed
    assert f"{secret_id} is revoked" in housed.run("secret", "revoke", secret_id).succeeded()


def test_each_command_prints_one_json_document(housed: Home) -> None:
    made = housed.json("secret", "create", "--team", "1", "--label", "a", "--read-only")
    [listed] = housed.json("secret", "list", "--team", "1")
    revoked = housed.json("secret", "revoke", made["secret_id"])

    assert list(made) == SHOWN_ONCE
    assert SECRET_ID.fullmatch(made["secret_id"])
    assert (made["team_id"], made["representation"]) == (1, "integer_ids")
    assert list(listed) == list(revoked) == FACTS
    assert (listed["label"], listed["read_only"], listed["revoked"]) == ("a", True, None)
    assert revoked == {**listed, "revoked": revoked["revoked"]}
    assert revoked["revoked"] >= listed["created"]


def test_the_representation_can_be_chosen(bobs: Home) -> None:
    made = bobs.json("secret", "create", "--team", "1", "--representation", "string_ids")

    assert made["representation"] == "string_ids"
    assert "string_idz" in create(bobs, "--representation", "string_idz").misuse()


def test_ids_are_listed_whole_so_that_one_can_be_revoked(bobs: Home) -> None:
    made = bobs.json("secret", "create", "--team", "1", "--label", "a label of some length")

    assert made["secret_id"] in bobs.run("secret", "list").succeeded()


def test_the_key_is_never_shown_again(bobs: Home) -> None:
    made = bobs.json("secret", "create", "--team", "1")

    assert made["secret_key"] not in bobs.run("secret", "list").succeeded()
    assert made["secret_key"] not in bobs.run("secret", "list", "--json").succeeded()


def test_a_third_live_secret_is_refused_until_one_is_revoked(housed: Home) -> None:
    first = housed.json("secret", "create", "--team", "1")
    create(housed).succeeded()

    said = create(housed).refusal()
    housed.json("secret", "revoke", first["secret_id"])

    assert "2 live API secrets" in said
    assert "reachbook secret revoke" in said
    create(housed).succeeded()
    create(housed).refusal()
    assert len(housed.json("secret", "list")) == 3


def test_of_four_made_at_once_two_live(housed: Home) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: create(housed.as_process()), range(4)))

    assert sorted(one.code for one in done) == [0, 0, 1, 1], done
    assert all("2 live API secrets" in one.refusal() for one in done if one.code)
    assert len(housed.json("secret", "list")) == 2


def test_revoking_twice_says_since_when(housed: Home) -> None:
    made = housed.json("secret", "create", "--team", "1")
    since = housed.json("secret", "revoke", made["secret_id"])["revoked"]

    said = housed.run("secret", "revoke", made["secret_id"]).refusal()

    assert said == f"{made['secret_id']} has been revoked since {since}."


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
def test_an_unknown_secret_is_refused(bobs: Home, ident: str) -> None:
    said = bobs.run("secret", "revoke", ident).refusal()

    assert "There is no secret" in said
    assert "reachbook secret list" in said


@pytest.mark.parametrize(
    ("command", "team"), [("create", "2"), ("list", "2"), ("create", "9223372036854775808")]
)
def test_an_unknown_team_is_refused(bobs: Home, command: str, team: str) -> None:
    assert f"no team {team}" in bobs.run("secret", command, "--team", team).refusal()


def test_another_teams_secrets_are_left_out(bobs: Home) -> None:
    bobs.json("team", "create", "Charlie's team")
    mine = bobs.json("secret", "create", "--team", "1")
    theirs = bobs.json("secret", "create", "--team", "2")

    def listed(*which: str) -> list[str]:
        return [one["secret_id"] for one in bobs.json("secret", "list", *which)]

    assert listed("--team", "1") == [mine["secret_id"]]
    assert listed() == [mine["secret_id"], theirs["secret_id"]]


def test_a_label_that_cannot_be_shown_is_refused(bobs: Home) -> None:
    assert "1 to 255" in create(bobs, "--label", "two\nlines").refusal()


def test_the_key_file_is_the_owners_alone(bobs: Home) -> None:
    create(bobs).succeeded()
    key_file = bobs.directory / "master.key"
    assert key_file.stat().st_mode & 0o777 == 0o600

    key_file.chmod(0o644)

    assert f"chmod 600 {key_file}" in create(bobs).refusal()


def test_another_master_key_is_refused(bobs: Home) -> None:
    create(bobs).succeeded()
    other = bobs.having(master_key=base64.b64encode(b"o" * 32).decode())

    assert "REACHBOOK_MASTER_KEY is not the master key" in create(other).refusal()
    assert len(bobs.json("secret", "list")) == 1


def test_wrong_usage_exits_with_2(bobs: Home) -> None:
    assert "--team" in bobs.run("secret", "create").misuse()
    assert "SECRET_ID" in bobs.run("secret", "revoke").misuse()
