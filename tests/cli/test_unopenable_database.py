"""If the database cannot be opened, every command prints one sentence and exits with 1."""

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
    unreachable = home.having(database=f"postgresql://bob:hunter2@127.0.0.1:{port}/book")

    message = unreachable.run(*command).refusal()

    assert "cannot answer" in message
    assert "hunter2" not in message


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
def test_an_invalid_database_url_is_refused(home: Home, database: str) -> None:
    home.having(database=database).run("team", "list").refusal()


def test_the_error_for_an_unknown_scheme_names_the_known_schemes(home: Home) -> None:
    message = home.run("team", "list", "--database", "mysql://db/book").refusal()

    assert "postgresql://" in message
    assert "sqlite:///" in message


def test_the_error_for_an_invalid_url_does_not_repeat_the_password(home: Home) -> None:
    """A slash in the password that is not percent-encoded ends the host there."""
    message = home.run("team", "list", "--database", "postgresql://bob:hunter2/x@db/book").refusal()

    assert "hunter2" not in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_database_is_refused_and_unchanged(
    home: Home, command: list[str]
) -> None:
    home.directory.mkdir()
    file = home.directory / "reachbook.db"
    text = "This is a letter to Alice. " * 400
    file.write_text(text)

    assert str(file) in home.run(*command).refusal()
    assert file.read_text() == text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_as_database_is_refused(home: Home, tmp_path: Path, command: list[str]) -> None:
    message = home.run(*command, "--database", f"sqlite:///{tmp_path}").refusal()

    assert str(tmp_path) in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_as_data_directory_is_refused(home: Home, command: list[str]) -> None:
    home.directory.write_text("")

    assert str(home.directory) in home.as_process().run(*command).refusal()


def test_a_new_database_file_has_mode_600(home: Home, tmp_path: Path) -> None:
    """Even if other users may read the directory."""
    tmp_path.chmod(0o755)
    home.run("team", "list", "--database", f"sqlite:///{tmp_path}/book.db").succeeded()

    assert (tmp_path / "book.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("parameter", ["connect_timeout=10", "channel_binding=prefer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_error_names_an_unknown_parameter_of_the_url(
    home: Home, empty_postgres: str, command: list[str], parameter: str
) -> None:
    message = home.run(*command, "--database", f"{empty_postgres}&{parameter}").refusal()

    assert parameter.partition("=")[0] in message


@pytest.mark.parametrize(
    "command",
    [
        ["team", "list"],
        ["team", "list", "--json"],
        ["settings"],
        ["--help"],
        ["--version"],
        ["team", "create", "--help"],
    ],
)
def test_a_write_error_on_standard_output_is_reported(home: Home, command: list[str]) -> None:
    """The disk of the output file is full."""
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

    message = home.run(*command).refusal()

    assert "schema version 99" in message
    assert "newer" in message


async def _make_newer(url: str) -> None:
    store = await open_store(url)
    await store.engine.write("insert_team", 1, "Bob's team", None, 0)
    store.engine._writer._connection.execute(  # type: ignore[attr-defined]
        "INSERT INTO schema_version VALUES (99, 'from the future', '')"
    )
    await store.close()
