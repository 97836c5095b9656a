"""`reachbook contact`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess

import pytest

from reachbook.domain.channel import ChannelList
from tests.support.commands import PROGRAM, Done
from tests.support.histories import plant
from tests.support.home import Home
from tests.support.personas import ALICE, NOBODY

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


def erase(home: Home, *, typed: str) -> Done:
    """Erase Alice; `typed` is the reply to the question."""
    return home.run("contact", "erase", ALICE, "--json", typed=typed)


def test_a_created_contact_is_shown(team_home: Home) -> None:
    team_home = team_home.as_process()
    channels = ("--channel", "phone=+1 510-555-3344", "--channel", "email=alice@Example.com")
    create(team_home, "--uuid", ALICE, "--first", "Alice", *channels).succeeded()

    shown = team_home.run("contact", "show", ALICE, "--team", "1").succeeded()

    assert re.search(rf"uuid +{ALICE}\n", shown)
    assert re.search(r"first +Alice\n", shown)
    assert re.search(r"ch_001 +phone +15105553344 ", shown)
    assert re.search(r"ch_002 +email +alice@example.com ", shown)


def test_each_command_prints_one_json_document(team_home: Home) -> None:
    made = team_home.json(
        *("contact", "create", "--team", "1", "--uuid", ALICE.upper(), "--last", "Doe"),
        *("--channel", "phone=15105553344"),
    )
    shown = team_home.json("contact", "show", ALICE.upper(), "--team", "1")

    assert shown == made
    assert set(made) == KEYS
    assert (made["uuid"], made["rev"], made["last"]) == (ALICE, 1, "Doe")
    assert made["phone"] == "15105553344"
    [channel] = made["contact_channels"]
    assert (channel["id"], channel["contact_id"]) == ("ch_001", ALICE)


def test_a_contact_may_have_no_channel_and_gets_a_uuid(sqlite_home: Home) -> None:
    made = sqlite_home.json("contact", "create", "--team", "1")

    assert made["contact_channels"] == []
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["uuid"])
    assert (
        made["uuid"] in sqlite_home.run("contact", "show", made["uuid"], "--team", "1").succeeded()
    )


def test_a_channel_value_may_contain_an_equals_sign(sqlite_home: Home) -> None:
    made = sqlite_home.json("contact", "create", "--team", "1", "--channel", "line=a=b")

    assert made["contact_channels"][0]["channel_id"] == "a=b"


@pytest.mark.parametrize("value", ["[/]", "i" * 200])
def test_an_address_with_markup_or_of_200_characters_is_shown_unchanged(
    sqlite_home: Home, value: str
) -> None:
    assert value in create(sqlite_home, "--channel", f"facebook={value}").succeeded()


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("phone=12", "15105553344"),
        ("email=alice", "alice@example.com"),
        ("Phone=15105553344", "channel_type"),
        ("id=1", "reserved"),
        ("facebook=\udcff", "surrogate"),
        ("phone=6465550123", "+16465550123"),
    ],
)
def test_a_bad_channel_is_refused_with_an_example(
    sqlite_home: Home, channel: str, expected: str
) -> None:
    """The last number is ambiguous, because the team's region is the United States."""
    assert expected in create(sqlite_home, "--channel", channel).refusal()


def test_a_channel_without_an_equals_sign_is_wrong_usage(sqlite_home: Home) -> None:
    assert "TYPE=VALUE" in create(sqlite_home, "--channel", "15105553344").misuse()


def test_a_name_that_cannot_be_stored_is_refused(sqlite_home: Home) -> None:
    assert (
        "first holds a control character" in create(sqlite_home, "--first", "two\nlines").refusal()
    )


def test_an_address_that_another_contact_owns_is_refused(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    message = create(team_home, "--uuid", NOBODY, "--channel", "phone=+1 510 555 3344").refusal()

    assert ALICE in message
    assert "15105553344" in message
    assert "no contact" in team_home.run("contact", "show", NOBODY, "--team", "1").refusal()


def test_a_uuid_that_is_in_use_is_refused(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE).succeeded()

    assert ALICE in create(team_home, "--uuid", ALICE).refusal()


@pytest.mark.parametrize("uuid", ["1", ""])
def test_an_invalid_uuid_is_refused(sqlite_home: Home, uuid: str) -> None:
    shown = sqlite_home.run("contact", "show", "--team", "1", "--", uuid).refusal()
    made = create(sqlite_home, "--uuid", uuid).refusal()

    assert ALICE in shown
    assert ALICE in made


def test_an_unknown_contact_is_refused(sqlite_home: Home) -> None:
    assert "no contact" in sqlite_home.run("contact", "show", ALICE, "--team", "1").refusal()


def test_a_contact_of_another_team_is_unknown(sqlite_home: Home) -> None:
    create(sqlite_home, "--uuid", ALICE).succeeded()
    sqlite_home.json("team", "create", "Charlie's team")

    assert "no contact" in sqlite_home.run("contact", "show", ALICE, "--team", "2").refusal()


@pytest.mark.parametrize("team", ["2", "9223372036854775808"])
def test_an_unknown_team_is_refused(team_home: Home, team: str) -> None:
    expected = f"no team {team}"

    assert expected in team_home.run("contact", "create", "--team", team).refusal()
    assert expected in team_home.run("contact", "show", ALICE, "--team", team).refusal()


def test_team_is_optional_if_there_is_one_team(team_home: Home) -> None:
    made = team_home.json("contact", "create", "--uuid", ALICE)

    assert team_home.json("contact", "show", ALICE) == made


def test_team_is_required_if_there_are_several(sqlite_home: Home) -> None:
    sqlite_home.json("team", "create", "Charlie's team")

    message = sqlite_home.run("contact", "create").refusal()

    assert message == (
        "There are 2 teams, so --team is required: 1 (Bob's team), 2 (Charlie's team)."
    )
    assert sqlite_home.run("contact", "show", ALICE).refusal() == message


def test_the_error_without_a_team_names_team_create(home: Home) -> None:
    assert "reachbook team create" in home.run("contact", "create").refusal()


def test_the_history_is_a_table_newest_first(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE, "--first", "Alice").succeeded()
    team_home.run("channel", "add", ALICE, "+15105553344").succeeded()
    team_home.run("channel", "remove", ALICE, "ch_001").succeeded()

    shown = team_home.as_process().run("contact", "history", ALICE).succeeded()

    rows = [line.split(maxsplit=3) for line in shown.splitlines()[1:]]
    assert [(rev, kind) for rev, _, kind, _ in rows] == [
        ("3", "channel_removed"),
        ("2", "channel_added"),
        ("1", "contact_created"),
    ]
    assert "command line" in shown
    assert "- phone 15105553344" in rows[0][3]
    assert "+ phone 15105553344" in rows[1][3]
    assert "first: Alice" in rows[2][3]


def test_the_history_is_paged(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()
    team_home.run("channel", "add", ALICE, "alice@example.com").succeeded()

    newest = team_home.json("contact", "history", ALICE, "--limit", "1")
    rest = team_home.json("contact", "history", ALICE, "--cursor", newest["next"])

    assert [event["kind"] for event in newest["events"]] == ["channel_added"]
    assert [event["kind"] for event in rest["events"]] == ["contact_created"]
    assert rest["next"] is None
    shown = team_home.run("contact", "history", ALICE, "--limit", "1").succeeded()
    assert f"--cursor {newest['next']}" in shown


def test_an_invalid_cursor_or_limit_is_refused(sqlite_home: Home) -> None:
    create(sqlite_home, "--uuid", ALICE).succeeded()

    assert "cursor" in sqlite_home.run("contact", "history", ALICE, "--cursor", "mine").refusal()
    assert "--limit" in sqlite_home.run("contact", "history", ALICE, "--limit", "0").misuse()


def test_the_export_is_one_json_document(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    plain = json.loads(team_home.run("contact", "export", ALICE).succeeded())

    assert plain == team_home.json("contact", "export", ALICE)
    assert set(plain) == {"contact", "deleted", "channels", "events"}
    assert plain["contact"]["uuid"] == ALICE
    assert plain["channels"][0]["channel_id"] == "15105553344"
    assert [event["kind"] for event in plain["events"]] == ["contact_created"]


def test_a_long_export_is_printed_while_it_is_read(team_home: Home) -> None:
    """It is indented like a short export, and memory does not grow by the size of the output."""
    made = team_home.json("contact", "create", "--uuid", ALICE)
    url = team_home.database
    seen = ChannelList(made["team_id"], made["id"], ALICE, 1, 1_700_000_000_000_000, ())
    asyncio.run(plant(url, seen, 260, 64 * 1024))
    _, memory_of_show = printed(team_home, "contact", "show", ALICE)

    text, memory_of_export = printed(team_home, "contact", "export", ALICE)

    document = json.loads(text)
    assert [event["rev"] for event in document["events"]] == list(range(1, 262))
    assert text == json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    assert len(text) > 32 * 1024 * 1024
    assert memory_of_export - memory_of_show < 24 * 1024 * 1024


def printed(home: Home, *words: str) -> tuple[bytes, int]:
    """Return the output of a command, and its peak memory in bytes."""
    process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, env=home.environment)
    assert process.stdout
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0
    return text, usage.ru_maxrss * 1024


def test_a_contact_has_at_most_500_channels(sqlite_home: Home) -> None:
    channels = [f"--channel=telegram=someone-{number}" for number in range(500)]
    create(sqlite_home, "--uuid", ALICE, *channels).succeeded()

    messages = [
        create(sqlite_home, *channels, "--channel", "phone=15105553344").refusal(),
        sqlite_home.run("channel", "add", ALICE, "+15105553344").refusal(),
    ]

    assert all("at most 500 channels" in message for message in messages)
    assert sqlite_home.json("contact", "show", ALICE)["rev"] == 1


def test_an_erased_contact_is_not_found(team_home: Home) -> None:
    create(team_home, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    assert team_home.json("contact", "erase", ALICE, "--yes") == "contact erased"

    assert "no contact" in team_home.run("contact", "show", ALICE).refusal()
    for command in ("history", "export"):
        assert "erased" in team_home.run("contact", command, ALICE).refusal()
    assert "erased" in team_home.run("contact", "erase", ALICE, "--yes").refusal()
    assert team_home.json("resolve", "15105553344")["contact"] is None


@pytest.mark.parametrize("reply", ["n\n", "\n", ""])
def test_erase_does_nothing_if_not_confirmed(sqlite_home: Home, reply: str) -> None:
    """The empty reply is the end of standard input: nobody is at the terminal."""
    before = sqlite_home.json("contact", "create", "--uuid", ALICE)

    done = erase(sqlite_home, typed=reply)

    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    assert f"Erase {ALICE}" in done.err
    assert done.err.endswith("reachbook: Nothing was erased.\n")
    assert sqlite_home.json("contact", "show", ALICE) == before


def test_erase_erases_if_confirmed(sqlite_home: Home) -> None:
    create(sqlite_home, "--uuid", ALICE).succeeded()

    done = erase(sqlite_home, typed="y\n")

    assert (done.code, done.out) == (0, '"contact erased"\n')
    assert "no contact" in sqlite_home.run("contact", "show", ALICE).refusal()


@pytest.mark.parametrize("command", ["history", "export", "erase"])
def test_history_export_and_erase_of_an_unknown_contact_are_refused(
    sqlite_home: Home, command: str
) -> None:
    """`erase` refuses before it asks for confirmation."""
    assert "no contact" in sqlite_home.run("contact", command, NOBODY).refusal()
    assert ALICE in sqlite_home.run("contact", command, "5").refusal()


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "--team" in home.run("contact", "create", "--team", "mine").misuse()
    assert "UUID" in home.run("contact", "show", "--team", "1").misuse()
