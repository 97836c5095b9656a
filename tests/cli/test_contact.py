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
    """Erase Alice, with what a person types when asked."""
    return home.run("contact", "erase", ALICE, "--json", typed=typed)


def test_it_works(housed: Home) -> None:
    housed = housed.as_process()
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
        ("phone=6465550123", "+16465550123"),
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


def test_the_team_may_be_left_out_when_there_is_one(housed: Home) -> None:
    made = housed.json("contact", "create", "--uuid", ALICE)

    assert housed.json("contact", "show", ALICE) == made


def test_several_teams_have_to_be_told_apart(bobs: Home) -> None:
    bobs.json("team", "create", "Charlie's team")

    said = bobs.run("contact", "create").refusal()

    assert said == (
        "There are 2 teams, so say which with --team: 1 (Bob's team), 2 (Charlie's team)."
    )
    assert bobs.run("contact", "show", ALICE).refusal() == said


def test_without_a_team_one_is_told_how_to_make_it(home: Home) -> None:
    assert "reachbook team create" in home.run("contact", "create").refusal()


def test_the_history_is_a_table_newest_first(housed: Home) -> None:
    create(housed, "--uuid", ALICE, "--first", "Alice").succeeded()
    housed.run("channel", "add", ALICE, "+15105553344").succeeded()
    housed.run("channel", "remove", ALICE, "ch_001").succeeded()

    shown = housed.as_process().run("contact", "history", ALICE).succeeded()

    told = [line.split(maxsplit=3) for line in shown.splitlines()[1:]]
    assert [(rev, kind) for rev, _, kind, _ in told] == [
        ("3", "channel_removed"),
        ("2", "channel_added"),
        ("1", "contact_created"),
    ]
    assert "command line" in shown
    assert "- phone 15105553344" in told[0][3]
    assert "+ phone 15105553344" in told[1][3]
    assert "first: Alice" in told[2][3]


def test_the_history_has_pages(housed: Home) -> None:
    create(housed, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()
    housed.run("channel", "add", ALICE, "alice@example.com").succeeded()

    newest = housed.json("contact", "history", ALICE, "--limit", "1")
    rest = housed.json("contact", "history", ALICE, "--cursor", newest["next"])

    assert [one["kind"] for one in newest["events"]] == ["channel_added"]
    assert [one["kind"] for one in rest["events"]] == ["contact_created"]
    assert rest["next"] is None
    shown = housed.run("contact", "history", ALICE, "--limit", "1").succeeded()
    assert f"--cursor {newest['next']}" in shown


def test_a_bad_page_of_history_is_refused(bobs: Home) -> None:
    create(bobs, "--uuid", ALICE).succeeded()

    assert "cursor" in bobs.run("contact", "history", ALICE, "--cursor", "mine").refusal()
    assert "--limit" in bobs.run("contact", "history", ALICE, "--limit", "0").misuse()


def test_the_export_is_one_json_document(housed: Home) -> None:
    create(housed, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    plain = json.loads(housed.run("contact", "export", ALICE).succeeded())

    assert plain == housed.json("contact", "export", ALICE)
    assert set(plain) == {"contact", "deleted", "channels", "events"}
    assert plain["contact"]["uuid"] == ALICE
    assert plain["channels"][0]["channel_id"] == "15105553344"
    assert [one["kind"] for one in plain["events"]] == ["contact_created"]


def test_a_long_export_is_printed_while_it_is_read(housed: Home) -> None:
    """It has the indentation of a short export, and the process does not grow by the output."""
    made = housed.json("contact", "create", "--uuid", ALICE)
    url = housed.database
    seen = ChannelList(made["team_id"], made["id"], ALICE, 1, 1_700_000_000_000_000, ())
    asyncio.run(plant(url, seen, 260, 64 * 1024))
    _, little = printed(housed, "contact", "show", ALICE)

    text, much = printed(housed, "contact", "export", ALICE)

    document = json.loads(text)
    assert [one["rev"] for one in document["events"]] == list(range(1, 262))
    assert text == json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    assert len(text) > 32 * 1024 * 1024
    assert much - little < 24 * 1024 * 1024


def printed(home: Home, *words: str) -> tuple[bytes, int]:
    """Returns the output of a command, and the most bytes of memory that it used."""
    process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, env=home.environment)
    assert process.stdout
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0
    return text, used.ru_maxrss * 1024


def test_a_contact_has_at_most_500_channels(bobs: Home) -> None:
    channels = [f"--channel=telegram=someone-{number}" for number in range(500)]
    create(bobs, "--uuid", ALICE, *channels).succeeded()

    said = [
        create(bobs, *channels, "--channel", "phone=15105553344").refusal(),
        bobs.run("channel", "add", ALICE, "+15105553344").refusal(),
    ]

    assert all("at most 500 channels" in one for one in said)
    assert bobs.json("contact", "show", ALICE)["rev"] == 1


def test_who_is_erased_is_gone(housed: Home) -> None:
    create(housed, "--uuid", ALICE, "--channel", "phone=15105553344").succeeded()

    assert housed.json("contact", "erase", ALICE, "--yes") == "contact erased"

    assert "no contact" in housed.run("contact", "show", ALICE).refusal()
    for command in ("history", "export"):
        assert "erased" in housed.run("contact", command, ALICE).refusal()
    assert "erased" in housed.run("contact", "erase", ALICE, "--yes").refusal()
    assert housed.json("resolve", "15105553344")["contact"] is None


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_erase_asks_and_takes_no_for_an_answer(bobs: Home, answer: str) -> None:
    """The last one is nobody at the terminal."""
    before = bobs.json("contact", "create", "--uuid", ALICE)

    done = erase(bobs, typed=answer)

    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    assert f"Erase {ALICE}" in done.err
    assert done.err.endswith("reachbook: Nothing was erased.\n")
    assert bobs.json("contact", "show", ALICE) == before


def test_erase_asks_and_takes_yes_for_an_answer(bobs: Home) -> None:
    create(bobs, "--uuid", ALICE).succeeded()

    done = erase(bobs, typed="y\n")

    assert (done.code, done.out) == (0, '"contact erased"\n')
    assert "no contact" in bobs.run("contact", "show", ALICE).refusal()


@pytest.mark.parametrize("command", ["history", "export", "erase"])
def test_nobody_has_no_past(bobs: Home, command: str) -> None:
    """Erase does not ask before it says so."""
    assert "no contact" in bobs.run("contact", command, NOBODY).refusal()
    assert ALICE in bobs.run("contact", command, "5").refusal()


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "--team" in home.run("contact", "create", "--team", "mine").misuse()
    assert "UUID" in home.run("contact", "show", "--team", "1").misuse()
