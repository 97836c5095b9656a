"""`reachbook doctor`, `backup`, `restore` and `rekey`."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from reachbook.storage import migrations
from tests.support.commands import Done
from tests.support.corrupt import ruin
from tests.support.home import Home

IDENTITY = "UPDATE contact_channel SET identity = '15105559999'"
STRANGER = (
    "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at)"
    " VALUES (1, 999, 999, 1, 'x', 'x', 'x', 1)"
)
WRONG_KEY = base64.b64encode(b"w" * 32).decode()


@pytest.fixture
def alices(housed: Home) -> Home:
    """A store on which Bob's team has a secret and a contact with a phone."""
    return with_alice(housed)


@pytest.fixture
def embedded(bobs: Home) -> Home:
    """The same on SQLite only."""
    return with_alice(bobs)


def with_alice(home: Home) -> Home:
    home.json("secret", "create", "--team", "1")
    home.json("contact", "create", "--team", "1", "--channel", "phone=15105553344")
    return home


def database(home: Home) -> str:
    return home.settings.get("database", f"sqlite:///{home.directory}/reachbook.db")


def spoil(home: Home, *statements: str) -> None:
    asyncio.run(ruin(database(home), *statements))


def reported(done: Done) -> Any:
    """The JSON of a command that ended with 1, and one sentence on standard error."""
    assert (done.code, done.err.count("\n")) == (1, 1), done
    assert done.err.startswith("reachbook: "), done
    return json.loads(done.out)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


def test_it_works(alices: Home) -> None:
    alices = alices.as_process()
    assert alices.run("doctor").succeeded() == "Nothing is wrong.\n"
    assert alices.json("doctor", "--repair", "--yes") == []


def test_the_doctor_reports_says_what_it_would_do_and_does_it(alices: Home) -> None:
    spoil(alices, IDENTITY)

    reads = alices.run("doctor")
    spec, again = alices.run("doctor", "--repair"), alices.run("doctor", "--repair")
    does = alices.run("doctor", "--repair", "--yes")

    assert (reads.code, spec.code, spec) == (1, 1, again)
    assert "identity: team 1, contact " in reads.out
    assert "1 fault was found" in reads.err
    assert "would derive it from the address again" in spec.out
    assert does.succeeded().count("  repaired\n") == 1
    assert alices.run("doctor").succeeded() == "Nothing is wrong.\n"


def test_a_finding_is_data(alices: Home) -> None:
    spoil(alices, IDENTITY, STRANGER)

    found = {one["kind"]: one for one in reported(alices.run("doctor", "--json"))}
    done = {
        one["kind"]: one for one in reported(alices.run("doctor", "--repair", "--yes", "--json"))
    }

    assert list(found["identity"]) == ["kind", "team_id", "contact_id", "what", "repair"]
    assert list(found["orphan_event"]) == ["kind", "team_id", "what"]
    assert {kind: one.pop("repaired") for kind, one in done.items()} == {
        "identity": True,
        "orphan_event": False,
    }
    assert done == found


def test_what_cannot_be_repaired_is_said(alices: Home) -> None:
    spoil(alices, STRANGER)

    assert "  it takes a person\n" in alices.run("doctor", "--repair").out
    done = alices.run("doctor", "--repair", "--yes")
    assert (done.code, done.out.count("not repaired")) == (1, 1)
    assert done.err == "reachbook: 1 of 1 faults could not be repaired.\n"


def test_the_second_word_needs_the_first(home: Home) -> None:
    assert "--repair" in home.run("doctor", "--yes").misuse()


def test_a_secret_that_does_not_open_is_a_finding(alices: Home) -> None:
    """The doctor can be asked without the right key, and without any."""
    for home in (alices.having(master_key=WRONG_KEY), Home(Path("/nowhere"), alices.settings)):
        found = reported(home.having(database=database(alices)).run("doctor", "--json"))
        assert [one["kind"] for one in found] == ["unopened_secret"] * 2
        assert sum("suppression key" in one["what"] for one in found) == 1


@pytest.mark.parametrize("command", [["doctor"], ["backup", "x.db"], ["rekey"]])
def test_no_store_is_made_only_to_look_at_it(home: Home, command: list[str]) -> None:
    assert "There is no store" in home.run(*command).refusal()
    assert not home.directory.exists()


# ── backup and restore ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(embedded: Home, tmp_path: Path) -> Path:
    """A backup of Alice's store."""
    embedded.run("backup", str(tmp_path / "backup.db")).succeeded()
    return tmp_path / "backup.db"


def test_a_backup_says_where_it_is_and_what_it_lacks(embedded: Home, tmp_path: Path) -> None:
    said = embedded.as_process().run("backup", str(tmp_path / "a.db")).succeeded()
    made = embedded.json("backup", str(tmp_path / "b.db"))

    assert "The master key is not in it" in said
    assert str(embedded.directory / "master.key") in said
    size = (tmp_path / "b.db").stat().st_size
    newest = migrations.newest("sqlite")
    assert made == {"file": str(tmp_path / "b.db"), "bytes": size, "schema_version": newest}
    assert sorted(one.name for one in tmp_path.glob("*.db*")) == ["a.db", "b.db"]
    assert list(tmp_path.glob(".*")) == []


def test_a_backup_that_is_there_is_kept_unless_told_otherwise(embedded: Home, file: Path) -> None:
    first = file.read_bytes()
    embedded.json("contact", "create", "--team", "1", "--first", "Later")

    assert "is there already" in embedded.run("backup", str(file)).refusal()
    assert file.read_bytes() == first
    embedded.run("backup", str(file), "--overwrite").succeeded()
    assert b"Later" in file.read_bytes()


def test_the_database_itself_is_no_place_for_its_backup(embedded: Home) -> None:
    path = str(embedded.directory / "reachbook.db")

    assert "the database itself" in embedded.run("backup", path, "--overwrite").refusal()


def test_a_backup_needs_a_folder_that_is_there(embedded: Home, tmp_path: Path) -> None:
    assert (
        "No such file"
        in embedded.as_process().run("backup", str(tmp_path / "no" / "a.db")).refusal()
    )


def test_a_store_with_a_fault_is_backed_up_only_as_it_is(embedded: Home, tmp_path: Path) -> None:
    spoil(embedded, IDENTITY)
    path = tmp_path / "a.db"

    assert "1 fault was found in it" in embedded.run("backup", str(path)).refusal()
    assert not path.exists()
    embedded.run("backup", str(path), "--as-it-is").succeeded()

    assert "1 fault was found in it" in embedded.run("restore", str(path)).refusal()
    embedded.run("restore", str(path), "--as-it-is").succeeded()
    assert len(reported(embedded.run("doctor", "--json"))) == 1


def test_a_restore_keeps_what_was_there(embedded: Home, file: Path) -> None:
    embedded.json("contact", "create", "--team", "1", "--first", "Later")

    made = embedded.as_process().json("restore", str(file))

    here = embedded.directory / "reachbook.db"
    assert made["database"] == str(here)
    assert made["replaced"].startswith(f"{here}.replaced-")
    assert re.fullmatch("[0-9a-f]{16}", made["incarnation"])
    assert b"Later" not in here.read_bytes()
    assert b"Later" in Path(made["replaced"]).read_bytes()
    assert embedded.json("doctor") == []
    again = embedded.json("restore", made["replaced"])
    assert again["replaced"] != made["replaced"]
    assert b"Later" in here.read_bytes()


def test_a_restore_is_refused_while_the_store_is_served(embedded: Home, file: Path) -> None:
    with embedded.serve():
        said = embedded.run("restore", str(file)).refusal()

    assert "is being served by process" in said
    assert list(embedded.directory.glob("*replaced*")) == []


def test_a_restore_needs_the_key_that_sealed_its_secrets(embedded: Home, file: Path) -> None:
    before = (embedded.directory / "reachbook.db").read_bytes()
    wrong = embedded.having(master_key=WRONG_KEY)
    elsewhere = Home(embedded.directory.parent / "elsewhere")

    assert "is not the master key that sealed" in wrong.run("restore", str(file)).refusal()
    assert "there is no key" in elsewhere.run("restore", str(file)).refusal()
    assert (embedded.directory / "reachbook.db").read_bytes() == before
    assert not (elsewhere.directory / "reachbook.db").exists()


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (
            "INSERT INTO schema_version VALUES (9000, 'later', '2030-01-01')",
            "a newer Reachbook has migrated it",
        ),
        ("DROP TABLE schema_version", "not a database of Reachbook"),
    ],
)
def test_a_restore_refuses_what_it_does_not_know(
    embedded: Home, file: Path, spoiled: str, said: str
) -> None:
    asyncio.run(ruin(f"sqlite:///{file}", spoiled))

    assert said in embedded.run("restore", str(file)).refusal()
    assert embedded.json("doctor") == []


@pytest.mark.parametrize(("command", "told"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgresql_brings_its_own(home: Home, command: str, told: str) -> None:
    away = home.having(database="postgresql://user:hidden@127.0.0.1:1/book")

    said = away.run(command, "file.dump").refusal()

    assert told in said
    assert "hidden" not in said


# ── rekey ────────────────────────────────────────────────────────────────────────────────────


def test_rekey_says_how_many(alices: Home) -> None:
    assert (
        alices.as_process()
        .run("rekey")
        .succeeded()
        .startswith("API secrets sealed anew under the current")
    )
    assert alices.json("rekey") == {"resealed": 0, "previous_key_file": None}


def test_rekey_refuses_a_key_that_opens_nothing(alices: Home) -> None:
    wrong = alices.having(master_key=WRONG_KEY, master_key_previous=WRONG_KEY)

    assert "is not the master key" in wrong.run("rekey").refusal()


def test_both_keys_are_masked(home: Home) -> None:
    shown = home.having(master_key=WRONG_KEY, master_key_previous=WRONG_KEY).json("settings")

    assert shown["master_key_previous"] == {"value": "********", "source": "environment"}


def test_a_previous_key_that_is_none_is_refused_by_its_name(home: Home) -> None:
    said = home.having(master_key_previous="c2hvcnQ=").run("settings").refusal()

    assert said.startswith("REACHBOOK_MASTER_KEY_PREVIOUS must hold 32 random bytes")


# ── the incarnation ──────────────────────────────────────────────────────────────────────────


def test_a_restore_makes_followers_begin_anew(embedded: Home, file: Path) -> None:
    """The store gets another incarnation, and the server reads it at its start."""
    _, api_key = embedded.team_with_key()
    before = feed_page(embedded, api_key)
    made = embedded.json("restore", str(file))
    _, api_key = embedded.team_with_key()

    assert feed_page(embedded, api_key)["incarnation"] == made["incarnation"]
    assert before["incarnation"] != made["incarnation"]


def test_mark_gives_the_store_another_incarnation(housed: Home) -> None:
    _, api_key = housed.team_with_key()
    before = feed_page(housed, api_key)

    made = housed.json("restore", "--mark")
    said = housed.run("restore", "--mark").succeeded()

    after = feed_page(housed, api_key)
    assert f"The store has another incarnation: {after['incarnation']}.\n" in said
    is_sqlite = housed.database.startswith("sqlite")
    assert ("Restart every process" not in said) == is_sqlite
    assert len({before["incarnation"], made["incarnation"], after["incarnation"]}) == 3


def test_a_restore_needs_either_a_file_or_mark(embedded: Home, file: Path) -> None:
    assert "either a FILE or --mark" in embedded.run("restore").misuse()
    assert "either a FILE or --mark" in embedded.run("restore", str(file), "--mark").misuse()


def test_a_store_that_is_served_or_is_not_there_is_not_marked(embedded: Home, home: Home) -> None:
    with embedded.serve():
        assert "is being served by process" in embedded.run("restore", "--mark").refusal()
    nowhere = Home(home.directory / "nowhere")
    assert "There is no store" in nowhere.run("restore", "--mark").refusal()


def feed_page(home: Home, api_key: str) -> Any:
    with home.serve() as server, server.client(api_key) as client:
        answer = client.get("/x/events")
    assert answer.status_code == 200, answer.text
    return answer.json()
