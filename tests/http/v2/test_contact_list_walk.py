"""Property: reading all pages of a list by `date` ends, and returns every contact.

Each client passes the last row's `updated` back as its language's date type prints it. The stored
times are set by SQL, so that many contacts have the same second, millisecond or microsecond,
and contacts are changed, created and deleted between the pages.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from reachbook.domain import timestamps
from tests.support.corrupt import execute_unchecked
from tests.support.personas import Api, TeamClient, create_team_client

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 10, 0, 0, tzinfo=UTC)
START_MICROS = int(START.timestamp()) * timestamps.SECOND
CONTACTS = 40
WRITES = 25
MAX_PAGES = 2 * (CONTACTS + WRITES)
LIMITS = (1, 1, 2, 3, 5, 20, 500)


# ── clients ──────────────────────────────────────────────────────────────────────────────────


def unchanged(text: str) -> str:
    return text


def python(text: str) -> str:
    """`datetime.isoformat()`: six digits, or no fraction if the microseconds are 0."""
    return datetime.fromisoformat(text).isoformat()


def go(text: str) -> str:
    """`time.RFC3339Nano`: without trailing zeros."""
    return text.rstrip("Z").rstrip("0").rstrip(".") + "Z"


def java(text: str) -> str:
    """`Instant.toString()`: 0, 3 or 6 digits."""
    digits = text[20:26].removesuffix("000").removesuffix("000")
    return f"{text[:19]}.{digits}Z" if digits else f"{text[:19]}Z"


def javascript(text: str) -> str:
    """`Date.toISOString()`: three digits always."""
    return f"{text[:23]}Z"


def java_millis(text: str) -> str:
    """`Instant.truncatedTo(MILLIS)`: three digits, or no fraction."""
    return java(f"{text[:23]}000Z")


def ruby(text: str) -> str:
    """`Time#to_s`."""
    return f"{text[:10]} {text[11:19]} UTC"


def swift(text: str) -> str:
    """`ISO8601DateFormatter` in another zone: seconds."""
    local = datetime.fromisoformat(text).astimezone(timezone(timedelta(hours=5, minutes=30)))
    return local.isoformat(timespec="seconds")


Client = Callable[[str], str]
CLIENTS: list[Client] = [unchanged, python, go, java, javascript, java_millis, ruby, swift]
CLIENTS_WITHOUT_REPEATS = {unchanged, javascript}


# ── a team whose contacts are changed while it is listed ─────────────────────────────────────


@dataclass
class Team:
    """Contacts with times that were set by SQL, and a record of the changes to them."""

    api: Api
    by: TeamClient
    chooser: random.Random
    uuids: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    writes_left: int = WRITES

    async def plant(self) -> None:
        """Create contacts; many share a second, a millisecond or a microsecond."""
        rows = {"contacts": [{"first": f"Person {number}"} for number in range(CONTACTS)]}
        made = (await self.request("POST", "/v2/contacts", rows))["contacts"]
        self.uuids = [contact["uuid"] for contact in made]
        times = self._times()
        cases = " ".join(f"WHEN {contact['id']} THEN {next(times)}" for contact in made)
        await execute_unchecked(
            self.api.database,
            f"UPDATE contact SET updated = CASE id {cases} END "
            f"WHERE team_id = {self.by.team.team_id}",
        )
        self.api.clock.now = START_MICROS + self.chooser.choice([4, 5]) * timestamps.SECOND

    def _times(self) -> Any:
        seconds = self.chooser.choice([1, 2, 5])
        crowded = self.chooser.random() < 0.5
        millis = [0, 1, 500, 999] if crowded else range(1000)
        micros = [0, 1, 999] if crowded else range(1000)
        while True:
            second = self.chooser.randrange(seconds)
            within = self.chooser.choice(millis) * 1000 + self.chooser.choice(micros)
            yield START_MICROS + second * timestamps.SECOND + within

    async def write(self) -> None:
        """Makes a few random changes, and moves the clock by up to a second before each."""
        for _ in range(min(self.chooser.choice([0, 0, 1, 2]), self.writes_left)):
            self.writes_left -= 1
            self.api.clock.now += self.chooser.choice([0, 1, 700, 300_000, 1_000_000])
            await self._write()

    async def _write(self) -> None:
        remaining = [uuid for uuid in self.uuids if uuid not in self.deleted]
        uuid = self.chooser.choice(remaining)
        match self.chooser.randrange(10):
            case 0:
                self.deleted.add(uuid)
                await self.request("DELETE", f"/v2/contact/{uuid}")
            case 1:
                await self.request("POST", "/v2/contact", {"first": "New"})
            case _:
                self.changed.add(uuid)
                await self.request(
                    "PUT", f"/v2/contact/{uuid}", {"last": f"turn {self.writes_left}"}
                )

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """Returns the body of a successful response."""
        response = await self.api.request(method, path, body, by=self.by.by_key())
        assert response.status_code == 200, (body, response.text)
        return response.json()

    def required(self, *, ascending: bool) -> set[str]:
        """Returns the contacts that the list must contain."""
        remaining = set(self.uuids) - self.deleted
        return remaining if ascending else remaining - self.changed


async def read_all_pages(team: Team, client: Client, limit: int, *, ascending: bool) -> list[str]:
    """Returns the UUIDs of a whole list, and checks that each page is in order."""
    rows: list[dict[str, Any]] = []
    body: dict[str, Any] = {"limit": limit, "ascending": ascending, "page": 0}
    for _ in range(MAX_PAGES):
        page = await team.request("POST", "/v2/contacts/list", body)
        if not page:
            return [contact["uuid"] for contact in rows]
        times = [contact["updated"] for contact in page]
        assert times == sorted(times, reverse=not ascending)
        rows += page
        body["date"] = client(times[-1])
        await team.write()
    raise AssertionError(f"no end after {MAX_PAGES} pages: {body}")


@pytest.mark.parametrize("ascending", [True, False], ids=["ascending", "descending"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_reading_all_pages_ends_and_returns_every_contact(
    api: Api, client: Client, *, ascending: bool
) -> None:
    for seed in range(3):
        chooser = random.Random(f"{client.__name__} {ascending} {seed}")
        by = await create_team_client(api.administration, f"Team {seed}", api.clock)
        team = Team(api, by, chooser)
        await team.plant()
        limit = chooser.choice(LIMITS)

        seen = Counter(await read_all_pages(team, client, limit, ascending=ascending))

        missing = team.required(ascending=ascending) - seen.keys()
        assert not missing, f"seed {seed}, limit {limit}: {len(missing)} are missing"
        if client in CLIENTS_WITHOUT_REPEATS:
            unchanged_contacts = team.required(ascending=ascending) - team.changed
            assert {seen[uuid] for uuid in unchanged_contacts} <= {1}
