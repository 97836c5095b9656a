"""A database that cannot be opened: every command says so in one sentence."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from reachbook.storage import open_store
from tests.support.home import Home

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
        "sqlite://host/reachbook.db",
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

    assert str(home.directory) in home.as_process().run(*command).refusal()


def test_a_new_file_is_for_its_owner_alone(home: Home, tmp_path: Path) -> None:
    """Also in a directory that others may read."""
    tmp_path.chmod(0o755)
    home.run("team", "list", "--database", f"sqlite:///{tmp_path}/book.db").succeeded()

    assert (tmp_path / "book.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("parameter", ["connect_timeout=10", "channel_binding=prefer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_parameter_that_postgresql_does_not_take_is_named(
    home: Home, empty_postgres: str, command: list[str], parameter: str
) -> None:
    said = home.run(*command, "--database", f"{empty_postgres}&{parameter}").refusal()

    assert parameter.partition("=")[0] in said


@pytest.mark.parametrize("command", [["team", "list"], ["team", "list", "--json"], ["settings"]])
def test_output_that_cannot_be_written_is_a_refusal(home: Home, command: list[str]) -> None:
    """Its disk is full."""
    with Path("/dev/full").open("w") as full:
        done = home.run(*command, output=full)

    assert "No space left on device" in done.refusal()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every directory")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_that_cannot_be_written_is_refused(home: Home, command: list[str]) -> None:
    home.directory.mkdir(mode=0o500)

    assert str(home.directory) in home.as_process().run(*command).refusal()


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
