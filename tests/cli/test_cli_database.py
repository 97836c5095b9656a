"""A database that cannot be opened: every command says so in one sentence."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from processes import Home
from reachbook.storage import open_store

COMMANDS = [["team", "list"], ["migrate"], ["serve", "--port", "0"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unreachable_postgresql_is_refused(home: Home, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nobody = home.having(database=f"postgresql://bob:hunter2@127.0.0.1:{port}/book")

    said = nobody.run(*command).refusal()

    assert "cannot answer" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "database",
    [
        "mysql://db/book",
        "/var/lib/reachbook.db",
        "sqlite:///",
        "postgresql://[::1/book",
        "postgresql://bob@db:port/book",
        "sqlite:////no%00where",
    ],
)
def test_a_url_that_names_no_database_is_refused(home: Home, database: str) -> None:
    home.having(database=database).run("team", "list").refusal()


def test_an_unknown_scheme_is_told_which_there_are(home: Home) -> None:
    said = home.run("team", "list", "--database", "mysql://db/book").refusal()

    assert "postgresql://" in said
    assert "sqlite:///" in said


def test_a_part_of_the_password_is_not_repeated(home: Home) -> None:
    """A slash that should have been percent-encoded ends the host there."""
    said = home.run("team", "list", "--database", "postgresql://bob:hunter2/x@db/book").refusal()

    assert "hunter2" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    home: Home, command: list[str]
) -> None:
    home.directory.mkdir()
    file = home.directory / "reachbook.db"
    text = "This is a letter to Alice. " * 400
    file.write_text(text)

    assert str(file) in home.run(*command).refusal()
    assert file.read_text() == text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_is_no_database(home: Home, tmp_path: Path, command: list[str]) -> None:
    said = home.run(*command, "--database", f"sqlite:///{tmp_path}").refusal()

    assert str(tmp_path) in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_the_data_directory_should_be_is_refused(
    home: Home, command: list[str]
) -> None:
    home.directory.write_text("")

    assert str(home.directory) in home.run(*command).refusal()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every directory")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_that_cannot_be_written_is_refused(home: Home, command: list[str]) -> None:
    home.directory.mkdir(mode=0o500)

    assert str(home.directory) in home.run(*command).refusal()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_schema_is_refused(home: Home, command: list[str]) -> None:
    url = f"sqlite:///{home.directory}/reachbook.db"
    asyncio.run(_make_newer(url))

    said = home.run(*command).refusal()

    assert "schema version 99" in said
    assert "newer" in said


async def _make_newer(url: str) -> None:
    store = await open_store(url)
    await store.engine.write("insert_team", 1, "Bob's team", None, 0)
    store.engine._writer._connection.execute(  # type: ignore[attr-defined]
        "INSERT INTO schema_version VALUES (99, 'from the future', '')"
    )
    await store.close()
