"""PocketBase on its defaults: a collection of channels with the same unique index.

Its SQLite commits with synchronous=NORMAL, so a power cut may undo the last commits.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bench import rows, workloads
from bench.plans import NUMBER, VALUE, Plan, request
from bench.servers import Launch, Server, ask

NAME = "PocketBase"
DURABILITY = "WAL, synchronous=NORMAL"
COMMAND_SECONDS = 30.0
CREATED = "2023-11-14 22:13:20.000Z"

_RECORDS = "/api/collections/channels/records"
_EMAIL = "bench@example.com"
_COLLECTION = {
    "name": "channels",
    "type": "base",
    "fields": [
        {"name": "contact", "type": "text"},
        {"name": "channel_type", "type": "text"},
        {"name": "channel_id", "type": "text"},
        {"name": "created", "type": "autodate", "onCreate": True},
        {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
    ],
    "indexes": [
        "CREATE UNIQUE INDEX channel_owner ON channels (channel_type, channel_id)",
        "CREATE INDEX channel_contact ON channels (contact)",
    ],
}


def program() -> str | None:
    """Returns the path of the program, or None if it is not installed."""
    beside = Path(sys.executable).with_name("pocketbase")
    return str(beside) if beside.exists() else shutil.which("pocketbase")


class PocketBase:
    """An instance with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pocketbase"
        self._password = secrets.token_hex(16)
        self._token = ""

    def launch(self) -> Launch:
        """Create the data and its superuser; returns how to start the instance."""
        found = str(program())
        data = ["--dir", str(self._folder)]
        create = [found, "superuser", "upsert", _EMAIL, self._password, *data]
        subprocess.run(create, capture_output=True, timeout=COMMAND_SECONDS, check=True)
        return Launch([found, "serve", "--http", "127.0.0.1:PORT", *data])

    def fill(self, server: Server, contacts: int) -> None:
        """Create the collection through the API, and insert its rows into the file."""
        path = "/api/collections/_superusers/auth-with-password"
        sent = {"identity": _EMAIL, "password": self._password}
        self._token = str(_ask(server, path, sent)["token"])
        _ask(server, "/api/collections", _COLLECTION, self._token)
        with closing(sqlite3.connect(self._folder / "data.db", timeout=COMMAND_SECONDS)) as file:
            file.executemany(
                "INSERT INTO channels (id, contact, channel_type, channel_id, created, updated) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                _rows(contacts),
            )
            file.commit()

    def plan(self, workload: str, contacts: int) -> Plan:
        """Returns the plan of `get`, `list` or `add`."""
        numbers = [2 * n + 1 for n in range(min(contacts // 2, workloads.SAMPLE))]
        if workload == workloads.GET:
            shape = request("GET", f"{_RECORDS}/{VALUE}", [_id(n, "p") for n in numbers])
        elif workload == workloads.LIST:
            query = f"?skipTotal=1&sort=created&filter={quote('contact=')}%27{VALUE}%27"
            shape = request("GET", _RECORDS + query, [rows.uuid(n) for n in numbers])
        else:
            body = (
                f'{{"contact":"{VALUE}","channel_type":"facebook",'  # as long for each contact
                f'"channel_id":"{NUMBER}"}}'
            )
            shape = request("POST", _RECORDS, [rows.uuid(n + 1) for n in numbers], body)
        return Plan([shape], [self._token])


def _rows(contacts: int) -> Iterator[tuple[str, ...]]:
    for n in range(1, contacts + 1):
        yield _id(n, "p"), rows.uuid(n), "phone", rows.phone(n), CREATED, CREATED
        yield _id(n, "e"), rows.uuid(n), "email", rows.email(n), CREATED, CREATED


def _id(number: int, letter: str) -> str:
    """Returns an id of 15 characters, as PocketBase wants it."""
    return f"{letter}{number:014d}"


def _ask(server: Server, path: str, sent: object, token: str = "") -> dict[str, object]:
    status, body = ask(server.port, "POST", path, token, json.dumps(sent).encode())
    if status >= 400:
        raise RuntimeError(f"PocketBase responds with {status} to {path}")
    read: dict[str, object] = json.loads(body)
    return read
