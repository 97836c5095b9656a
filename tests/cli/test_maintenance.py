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
from tests.support.corrupt import execute_unchecked
from tests.support.home import Home

WRONG_IDENTITY = "UPDATE contact_channel SET identity = '15105559999'"
ORPHAN_EVENT = (
    "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at)"
    " VALUES (1, 999, 999, 1, 'x', 'x', 'x', 1)"
)
WRONG_KEY = base64.b64encode(b"w" * 32).decode()


@pytest.fixture
def alice_home(team_home: Home) -> Home:
    """A database in which Bob's team has a secret and a contact with a phone."""
    return with_alice(team_home)


@pytest.fixture
def alice_sqlite(sqlite_home: Home) -> Home:
    """The same, only on SQLite."""
    return with_alice(sqlite_home)


def with_alice(home: Home) -> Home:
    home.json("secret", "create", "--team", "1")
    home.json("contact", "create", "--team", "1", "--channel", "phone=15105553344")
    return home


def database(home: Home) -> str:
    return home.settings.get("database", f"sqlite:///{home.directory}/reachbook.db")


def execute(home: Home, *statements: str) -> None:
    asyncio.run(execute_unchecked(database(home), *statements))


def findings(done: Done) -> Any:
    """Return the JSON of a command that exited with 1 and one line on standard error."""
    assert (done.code, done.err.count("\n")) == (1, 1), done
    assert done.err.startswith("reachbook: "), done
    return json.loads(done.out)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────


def test_doctor_finds_nothing_in_a_consistent_database(alice_home: Home) -> None:
    alice_home = alice_home.as_process()
    assert alice_home.run("doctor").succeeded() == "No fault was found.\n"
    assert alice_home.json("doctor", "--repair", "--yes") == []


def test_doctor_reports_previews_and_repairs(alice_home: Home) -> None:
    execute(alice_home, WRONG_IDENTITY)

    report = alice_home.run("doctor")
    dry_run, second_dry_run = (
        alice_home.run("doctor", "--repair"),
        alice_home.run("doctor", "--repair"),
    )
    repair = alice_home.run("doctor", "--repair", "--yes")

    assert (report.code, dry_run.code, dry_run) == (1, 1, second_dry_run)
    assert "identity: team 1, contact " in report.out
    assert "1 fault was found" in report.err
    assert "would derive it from the address again" in dry_run.out
    assert repair.succeeded().count("  repaired\n") == 1
    assert alice_home.run("doctor").succeeded() == "No fault was found.\n"


def test_findings_are_printed_as_json(alice_home: Home) -> None:
    execute(alice_home, WRONG_IDENTITY, ORPHAN_EVENT)

    found = {finding["kind"]: finding for finding in findings(alice_home.run("doctor", "--json"))}
    done = {
        finding["kind"]: finding
        for finding in findings(alice_home.run("doctor", "--repair", "--yes", "--json"))
    }

    assert list(found["identity"]) == ["kind", "team_id", "contact_id", "what", "repair"]
    assert list(found["orphan_event"]) == ["kind", "team_id", "what"]
    assert {kind: finding.pop("repaired") for kind, finding in done.items()} == {
        "identity": True,
        "orphan_event": False,
    }
    assert done == found


def test_an_unrepairable_fault_is_reported(alice_home: Home) -> None:
    execute(alice_home, ORPHAN_EVENT)

    assert "  cannot be repaired by this command\n" in alice_home.run("doctor", "--repair").out
    done = alice_home.run("doctor", "--repair", "--yes")
    assert (done.code, done.out.count("not repaired")) == (1, 1)
    assert done.err == "reachbook: 1 of 1 faults could not be repaired.\n"


def test_yes_requires_repair(home: Home) -> None:
    assert "--repair" in home.run("doctor", "--yes").misuse()


def test_a_secret_that_cannot_be_decrypted_is_a_finding(alice_home: Home) -> None:
    """The doctor runs with a wrong master key, and without one."""
    for home in (
        alice_home.having(master_key=WRONG_KEY),
        Home(Path("/nowhere"), alice_home.settings),
    ):
        found = findings(home.having(database=database(alice_home)).run("doctor", "--json"))
        assert [finding["kind"] for finding in found] == ["unopened_secret"] * 2
        assert sum("suppression key" in finding["what"] for finding in found) == 1


@pytest.mark.parametrize("command", [["doctor"], ["backup", "x.db"], ["rekey"]])
def test_a_missing_database_is_not_created(home: Home, command: list[str]) -> None:
    assert "There is no store" in home.run(*command).refusal()
    assert not home.directory.exists()


# ── backup and restore ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def backup(alice_sqlite: Home, tmp_path: Path) -> Path:
    """The path of a backup of Alice's database."""
    alice_sqlite.run("backup", str(tmp_path / "backup.db")).succeeded()
    return tmp_path / "backup.db"


def test_backup_prints_the_file_and_that_the_master_key_is_not_in_it(
    alice_sqlite: Home, tmp_path: Path
) -> None:
    output = alice_sqlite.as_process().run("backup", str(tmp_path / "a.db")).succeeded()
    made = alice_sqlite.json("backup", str(tmp_path / "b.db"))

    assert "does not contain the master key" in output
    assert str(alice_sqlite.directory / "master.key") in output
    size = (tmp_path / "b.db").stat().st_size
    newest = migrations.newest("sqlite")
    assert made == {"file": str(tmp_path / "b.db"), "bytes": size, "schema_version": newest}
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["a.db", "b.db"]
    assert list(tmp_path.glob(".*")) == []


def test_an_existing_file_is_replaced_only_with_overwrite(alice_sqlite: Home, backup: Path) -> None:
    first = backup.read_bytes()
    alice_sqlite.json("contact", "create", "--team", "1", "--first", "Later")

    assert "exists already" in alice_sqlite.run("backup", str(backup)).refusal()
    assert backup.read_bytes() == first
    alice_sqlite.run("backup", str(backup), "--overwrite").succeeded()
    assert b"Later" in backup.read_bytes()


def test_a_backup_to_the_database_file_is_refused(alice_sqlite: Home) -> None:
    path = str(alice_sqlite.directory / "reachbook.db")

    assert "the database itself" in alice_sqlite.run("backup", path, "--overwrite").refusal()


def test_a_backup_to_a_missing_folder_is_refused(alice_sqlite: Home, tmp_path: Path) -> None:
    assert (
        "No such file"
        in alice_sqlite.as_process().run("backup", str(tmp_path / "no" / "a.db")).refusal()
    )


def test_a_database_with_a_fault_is_backed_up_only_with_as_it_is(
    alice_sqlite: Home, tmp_path: Path
) -> None:
    execute(alice_sqlite, WRONG_IDENTITY)
    path = tmp_path / "a.db"

    assert "1 fault was found in the copy" in alice_sqlite.run("backup", str(path)).refusal()
    assert not path.exists()
    alice_sqlite.run("backup", str(path), "--as-it-is").succeeded()

    assert "1 fault was found in the copy" in alice_sqlite.run("restore", str(path)).refusal()
    alice_sqlite.run("restore", str(path), "--as-it-is").succeeded()
    assert len(findings(alice_sqlite.run("doctor", "--json"))) == 1


def test_restore_renames_the_replaced_database(alice_sqlite: Home, backup: Path) -> None:
    alice_sqlite.json("contact", "create", "--team", "1", "--first", "Later")

    made = alice_sqlite.as_process().json("restore", str(backup))

    path = alice_sqlite.directory / "reachbook.db"
    assert made["database"] == str(path)
    assert made["replaced"].startswith(f"{path}.replaced-")
    assert re.fullmatch("[0-9a-f]{16}", made["incarnation"])
    assert b"Later" not in path.read_bytes()
    assert b"Later" in Path(made["replaced"]).read_bytes()
    assert alice_sqlite.json("doctor") == []
    again = alice_sqlite.json("restore", made["replaced"])
    assert again["replaced"] != made["replaced"]
    assert b"Later" in path.read_bytes()


def test_restore_is_refused_while_a_server_runs(alice_sqlite: Home, backup: Path) -> None:
    with alice_sqlite.serve():
        message = alice_sqlite.run("restore", str(backup)).refusal()

    assert "is being served by process" in message
    assert list(alice_sqlite.directory.glob("*replaced*")) == []


def test_restore_requires_the_master_key_of_the_backup(alice_sqlite: Home, backup: Path) -> None:
    before = (alice_sqlite.directory / "reachbook.db").read_bytes()
    wrong = alice_sqlite.having(master_key=WRONG_KEY)
    elsewhere = Home(alice_sqlite.directory.parent / "elsewhere")

    assert "is not the master key that sealed" in wrong.run("restore", str(backup)).refusal()
    assert "there is no master key" in elsewhere.run("restore", str(backup)).refusal()
    assert (alice_sqlite.directory / "reachbook.db").read_bytes() == before
    assert not (elsewhere.directory / "reachbook.db").exists()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "INSERT INTO schema_version VALUES (9000, 'later', '2030-01-01')",
            "a newer Reachbook has migrated it",
        ),
        ("DROP TABLE schema_version", "not a database of Reachbook"),
    ],
)
def test_restore_refuses_a_newer_schema_or_a_foreign_database(
    alice_sqlite: Home, backup: Path, statement: str, expected: str
) -> None:
    asyncio.run(execute_unchecked(f"sqlite:///{backup}", statement))

    assert expected in alice_sqlite.run("restore", str(backup)).refusal()
    assert alice_sqlite.json("doctor") == []


@pytest.mark.parametrize(("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_backup_and_restore_of_postgresql_name_the_tools_of_postgresql(
    home: Home, command: str, tool: str
) -> None:
    postgres_home = home.having(database="postgresql://user:hidden@127.0.0.1:1/book")

    message = postgres_home.run(command, "file.dump").refusal()

    assert tool in message
    assert "hidden" not in message


# ── rekey ────────────────────────────────────────────────────────────────────────────────────────


def test_rekey_prints_the_number_of_resealed_secrets(alice_home: Home) -> None:
    assert (
        alice_home.as_process()
        .run("rekey")
        .succeeded()
        .startswith("API secrets sealed again, under the current")
    )
    assert alice_home.json("rekey") == {"resealed": 0, "previous_key_file": None}


def test_rekey_refuses_a_key_that_decrypts_no_secret(alice_home: Home) -> None:
    wrong = alice_home.having(master_key=WRONG_KEY, master_key_previous=WRONG_KEY)

    assert "is not the master key" in wrong.run("rekey").refusal()


def test_the_previous_master_key_is_masked(home: Home) -> None:
    shown = home.having(master_key=WRONG_KEY, master_key_previous=WRONG_KEY).json("settings")

    assert shown["master_key_previous"] == {"value": "********", "source": "environment"}


def test_the_error_for_an_invalid_previous_key_names_the_variable(home: Home) -> None:
    message = home.having(master_key_previous="c2hvcnQ=").run("settings").refusal()

    assert message.startswith("REACHBOOK_MASTER_KEY_PREVIOUS must hold 32 random bytes")


# ── the incarnation ──────────────────────────────────────────────────────────────────────────────


def test_restore_changes_the_incarnation(alice_sqlite: Home, backup: Path) -> None:
    """Followers of the feed start again from the beginning; the server reads it at its start."""
    _, api_key = alice_sqlite.team_with_key()
    before = feed_page(alice_sqlite, api_key)
    made = alice_sqlite.json("restore", str(backup))
    _, api_key = alice_sqlite.team_with_key()

    assert feed_page(alice_sqlite, api_key)["incarnation"] == made["incarnation"]
    assert before["incarnation"] != made["incarnation"]


def test_restore_mark_changes_the_incarnation(team_home: Home) -> None:
    _, api_key = team_home.team_with_key()
    before = feed_page(team_home, api_key)

    made = team_home.json("restore", "--mark")
    output = team_home.run("restore", "--mark").succeeded()

    after = feed_page(team_home, api_key)
    assert f"The store has another incarnation: {after['incarnation']}.\n" in output
    is_sqlite = team_home.database.startswith("sqlite")
    assert ("Restart every server process" not in output) == is_sqlite
    assert len({before["incarnation"], made["incarnation"], after["incarnation"]}) == 3


def test_restore_requires_either_a_file_or_mark(alice_sqlite: Home, backup: Path) -> None:
    assert "either a FILE or --mark" in alice_sqlite.run("restore").misuse()
    assert "either a FILE or --mark" in alice_sqlite.run("restore", str(backup), "--mark").misuse()


def test_restore_mark_of_a_served_or_missing_database_is_refused(
    alice_sqlite: Home, home: Home
) -> None:
    with alice_sqlite.serve():
        assert "is being served by process" in alice_sqlite.run("restore", "--mark").refusal()
    nowhere = Home(home.directory / "nowhere")
    assert "There is no store" in nowhere.run("restore", "--mark").refusal()


def feed_page(home: Home, api_key: str) -> Any:
    with home.serve() as server, server.client(api_key) as client:
        response = client.get("/x/events")
    assert response.status_code == 200, response.text
    return response.json()
